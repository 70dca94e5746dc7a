"""Draws docs/images/page.png: a session of the page with a model and utterances of a wav.scp, through the microphone.

python tests/draw_page.py MODEL WAV_SCP --output docs/images/page.png
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from live_server import live_server
from page_server import CHROMIUM, FLAGS
from playwright.sync_api import expect, sync_playwright

from wenet_lite.data.audio import read_audio
from wenet_lite.data.kaldi import read_table

RATE = 16000
WIDTH = 860
WORD = 3  # that is pointed at
ROOM_NOISE = 0.003  # no microphone hears nothing


def write_session(wavs: list[str], pause_s: float, path: Path) -> float:
    """One utterance after the other, with pauses; returns how many seconds pass until the middle of the last one."""
    pause = np.random.default_rng(0).normal(0, ROOM_NOISE, round(pause_s * RATE)).astype(np.float32)
    utterances = [read_audio(wav)[0] for wav in wavs]
    samples = np.concatenate([part for utterance in utterances for part in (utterance, pause)])
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return (len(samples) - len(pause) - len(utterances[-1]) / 2) / RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("wav_scp", type=Path)
    parser.add_argument("--utterances", type=int, nargs="+", default=[0, 1, 2, 3], help="lines of the wav.scp, from 0")
    parser.add_argument("--pause-s", type=float, default=1.3)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    table = list(read_table(args.wav_scp).values())
    with tempfile.TemporaryDirectory() as folder, live_server(args.model, Path(folder) / "log") as server:
        wav = Path(folder) / "session.wav"
        seconds = write_session([table[line] for line in args.utterances], args.pause_s, wav)
        with sync_playwright() as playwright:
            flags = [*FLAGS, f"--use-file-for-fake-audio-capture={wav}%noloop"]
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
            context = browser.new_context(viewport={"width": WIDTH, "height": 650}, permissions=["microphone"])
            page = context.new_page()
            page.goto(server.address)
            page.get_by_role("button", name="Start listening").click()
            expect(page.locator("#status")).to_have_text("Listening")
            page.wait_for_timeout(1000 * seconds)
            page.locator("#finals .word").nth(WORD).hover()
            sheet = page.locator("#sheet").bounding_box()
            assert sheet
            area = {"x": 0, "y": 0, "width": WIDTH, "height": sheet["y"] + sheet["height"] + 24}
            page.screenshot(path=args.output, full_page=True, clip=area)
            browser.close()


if __name__ == "__main__":
    main()
