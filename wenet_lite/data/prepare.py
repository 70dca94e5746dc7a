"""From a Kaldi data directory to manifest lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wenet_lite.data.audio import AudioInfo, audio_info
from wenet_lite.data.kaldi import read_table
from wenet_lite.data.manifest import Utterance
from wenet_lite.errors import DataError


def utterances_of(data_dir: str | os.PathLike[str], rules: Callable[[str], str]) -> list[Utterance]:
    """Read wav.scp, text, utt2spk and, where there are any, segments; headers tell the lengths.

    Args:
        data_dir: a valid Kaldi data directory.
        rules: applied to each transcript.
    Raises:
        DataError: if a file is missing, an audio header cannot be read, or a transcript is empty.
    """
    folder = Path(data_dir)
    recordings = read_table(folder / "wav.scp")
    speakers = read_table(folder / "utt2spk")
    spans = _segments(folder / "segments", recordings)
    with ThreadPoolExecutor() as pool:
        infos = dict(zip(recordings, pool.map(audio_info, recordings.values())))
    utterances = []
    for key, text in read_table(folder / "text").items():
        txt = rules(text)
        if not txt:
            raise DataError(f"utterance '{key}' has an empty transcript", path=folder / "text", cure="remove it")
        recording, start, end = spans.get(key, (key, None, None))
        if recording not in recordings or key not in speakers:
            raise DataError(
                f"utterance '{key}' is not in wav.scp or utt2spk", path=folder, cure="tools/fix_data_dir.sh"
            )
        wav = os.path.abspath(recordings[recording])
        utterances.append(_utterance(key, wav, txt, speakers[key], infos[recording], start, end))
    return utterances


def _utterance(
    key: str, wav: str, txt: str, speaker: str, info: AudioInfo, start: float | None, end: float | None
) -> Utterance:
    num_samples = info.num_samples
    if start is not None and end is not None:
        num_samples = min(round(end * info.sample_rate), info.num_samples) - round(start * info.sample_rate)
    duration = round(num_samples / info.sample_rate, 4)
    return Utterance(key, wav, txt, duration, num_samples, info.sample_rate, speaker, start, end)


def _segments(path: Path, recordings: dict[str, str]) -> dict[str, tuple[str, float, float]]:
    if not path.exists():
        return {}
    spans = {}
    for number, (key, line) in enumerate(read_table(path).items(), 1):
        fields = line.split()
        try:
            recording, start, end = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError) as error:
            raise DataError("Bad line in segments file", path=path, line=number) from error
        if recording not in recordings or len(fields) != 3 or end <= start:
            raise DataError("Bad line in segments file", path=path, line=number)
        spans[key] = (recording, start, end)
    return spans
