"""A description finds what is wrong with data, and a page of it is safe to open."""

import html.parser
import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_corpus import write_data_dir, write_lang_dir

from wenet_lite.bin import command, describe_data
from wenet_lite.data.describe import DescribeOptions, describe
from wenet_lite.data.describe_audio import measure
from wenet_lite.data.describe_page import as_page, as_text
from wenet_lite.data.describe_read import read_data_sets
from wenet_lite.data.kaldi import read_table, write_table


def change(folder: Path, name: str, **values: str) -> None:
    write_table(folder / name, {**read_table(folder / name), **{k.replace("_", "-"): v for k, v in values.items()}})


def described(*folders: Path, **options):
    return describe(read_data_sets(folders, jobs=2), DescribeOptions(**options))


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_data_dir(tmp_path / "train", 30)


def test_hours_speakers_lengths_and_words_add_up(train: Path) -> None:
    found = described(train, audio=False).sets[0]
    lengths = [soundfile.info(path).duration for path in read_table(train / "wav.scp").values()]
    assert found.hours == pytest.approx(sum(lengths) / 3600) and found.num_utterances == 30 and found.num_speakers == 1
    assert found.durations and found.durations.max == pytest.approx(max(lengths))
    assert (
        sum(found.durations.histogram.counts) + found.durations.histogram.below + found.durations.histogram.above == 30
    )
    assert found.text.num_words == 50 and found.text.vocabulary == 5 and found.sample_rates == {16000: 30}


def test_what_two_sets_share_is_told(train: Path, tmp_path: Path) -> None:
    test = write_data_dir(tmp_path / "test", 3)
    for name in ("wav.scp", "text", "utt2spk"):
        renamed = {("other-1" if key == "spk-0001" else key): value for key, value in read_table(test / name).items()}
        write_table(test / name, renamed)
    overlaps = {o.kind: o for o in described(train, test, audio=False).overlaps}
    assert overlaps["utterance ids"].examples == ("spk-0000", "spk-0002") and overlaps["speakers"].count == 1
    assert overlaps["transcripts"].count == 3 and overlaps["transcripts"].share == 1.0
    assert "audio" not in overlaps


def test_words_that_the_first_set_lacks_and_unknown_units(train: Path, tmp_path: Path) -> None:
    test = write_data_dir(tmp_path / "test", 4)
    change(test, "text", spk_0001="STOP ÄÖ ÄÖ")
    found = described(train, test, audio=False, lang_dir=write_lang_dir(tmp_path / "lang")).sets[1].text
    assert found.unseen and [w.item for w in found.unseen.words] == ["ÄÖ"] and found.unseen.num_running_words == 2
    assert {c.character for c in found.unseen.characters} == {"Ä", "Ö"}
    assert found.unknown and found.unknown.num_unknown == 4 and found.unknown.utterances[0].key == "spk-0001"


def test_a_transcript_that_does_not_fit_its_audio_is_suspected(train: Path) -> None:
    for key, path in read_table(train / "wav.scp").items():
        soundfile.write(path, np.zeros(len(read_table(train / "text")[key]) * 1600), 16000)  # ten characters a second
    change(train, "text", spk_0003="STOP " * 12)
    worst = described(train, audio=False).sets[0].text.suspects
    assert worst.count == 1 and worst.worst[0].key == "spk-0003"


def test_measures_of_audio() -> None:
    tone = 0.5 * np.sin(np.arange(16000) * 0.3).astype(np.float32)
    silence = np.zeros(8000, np.float32)
    found = measure(np.concatenate([silence, tone, silence[:4000]]), 16000)
    assert found.leading == pytest.approx(0.5, abs=0.03) and found.trailing == pytest.approx(0.25, abs=0.03)
    assert found.silence == pytest.approx(12000 / 28000, abs=0.02) and not found.faults
    assert measure(tone, 16000).level == pytest.approx(-9.03, abs=0.05)
    assert any("clipped" in fault for fault in measure(np.clip(4 * tone, -1, 1), 16000).faults)
    assert any("offset" in fault for fault in measure(tone + 0.1, 16000).faults)
    assert any("no signal" in fault for fault in measure(silence, 16000).faults)
    assert measure(np.zeros(1, np.float32), 16000).faults


def test_faulty_and_unreadable_audio_is_listed_whatever_the_number_of_jobs(train: Path) -> None:
    soundfile.write(train / "spk-0004.wav", np.clip(3 * np.sin(np.arange(16000) * 0.3), -1, 1), 16000)
    (train / "spk-0005.wav").write_bytes(b"RIFF")
    (train / "utt2dur").write_text("".join(f"spk-{i:04d} 1.0\n" for i in range(30)))
    alone, together = (described(train, jobs=jobs).sets[0].audio for jobs in (1, 3))
    assert alone == together and alone is not None
    assert [p.key for p in alone.faulty] == ["spk-0004"] and [p.key for p in alone.unreadable] == ["spk-0005"]
    assert described(train, max_audio=7).sets[0].audio.num_measured <= 7


class Tags(html.parser.HTMLParser):
    """The tags of a page, and what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.add(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload", "onerror"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_needs_nothing_else_and_runs_nothing(train: Path) -> None:
    change(train, "text", spk_0001='<script>alert(1)</script> "<b>', spk_0002='<script>alert(1)</script> "<b>')
    description = described(train)
    tags = Tags()
    tags.feed(as_page(description))
    assert not tags.open and "svg" in tags.seen and not {"script", "link", "img", "b"} & tags.seen
    assert "<script>" in as_text(description)


def test_the_command_writes_page_and_figures(train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    assert describe_data.main([str(train), "--output", str(page), "--json", str(figures), "--jobs", "1"]) == 0
    assert "vocabulary" in capsys.readouterr().out and page.read_text().startswith("<!doctype html>")
    assert json.loads(figures.read_text())["sets"][0]["num_utterances"] == 30


@pytest.mark.parametrize("kind", ["missing", "empty", "twice"])
def test_a_mistake_is_one_line(train: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    sets = {"missing": ["/nowhere"], "empty": [str(tmp_path / "empty")], "twice": [str(train), str(train)]}[kind]
    assert command.run(describe_data.main, [*sets, "--no-audio"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_million_utterances_are_described_in_reasonable_time(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    keys = [f"s{i // 100:05d}-{i:07d}" for i in range(1_000_000)]
    words = ["ONE", "TWO", "THREE", "FOUR", "FIVE"]
    (folder / "wav.scp").write_text("".join(f"{key} /audio/{key}.wav\n" for key in keys))
    (folder / "utt2spk").write_text("".join(f"{key} {key[:6]}\n" for key in keys))
    (folder / "utt2dur").write_text("".join(f"{key} {1 + i % 9}.5\n" for i, key in enumerate(keys)))
    (folder / "text").write_text("".join(f"{key} {words[i % 5]} {words[i % 3]}\n" for i, key in enumerate(keys)))
    started = time.monotonic()
    assert described(folder, audio=False).sets[0].num_utterances == 1_000_000
    assert time.monotonic() - started < 90


def test_real_speech_has_no_faults_that_it_does_not_have(corpora: Path, tmp_path: Path) -> None:
    files = sorted((corpora / "LibriSpeech/test-other-mini").rglob("*.flac"))[:40]
    folder = tmp_path / "real"
    folder.mkdir()
    texts = dict(
        line.split(" ", 1)
        for path in {file.parent for file in files}
        for line in next(path.glob("*.trans.txt")).read_text().splitlines()
    )
    write_table(folder / "wav.scp", {file.stem: str(file) for file in files})
    write_table(folder / "text", {file.stem: texts[file.stem] for file in files})
    write_table(folder / "utt2spk", {file.stem: file.stem.split("-")[0] for file in files})
    found = described(folder).sets[0]
    assert found.audio and not found.audio.unreadable and found.audio.num_faulty <= 1
    assert found.text.characters_per_second and 8 < found.text.characters_per_second.median < 16
