"""A description finds what is wrong with data, and a page of it is safe to open."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_corpus import noise, write_data_dir, write_lang_dir
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.bin import command, describe_data, make_list
from wenet_lite.data.describe import DataDescription, DescribeOptions, describe
from wenet_lite.data.describe_audio import AudioOptions
from wenet_lite.data.describe_distribution import distributions
from wenet_lite.data.describe_findings import findings_of
from wenet_lite.data.describe_measures import faults, measure
from wenet_lite.data.describe_overlap import overlaps
from wenet_lite.data.describe_page import as_page
from wenet_lite.data.describe_plain import as_text
from wenet_lite.data.describe_rate import RateRule
from wenet_lite.data.describe_read import DataSet, read_data_sets
from wenet_lite.data.describe_text import character_counts, count_text
from wenet_lite.data.kaldi import read_table, write_table
from wenet_lite.data.utterance import Utterance

PROJECT = Path(__file__).resolve().parents[2]
HOSTILE = '<script>alert(1)</script> "><b> \x1b[31mRED\u202e'


def change(folder: Path, name: str, **values: str) -> None:
    write_table(folder / name, {**read_table(folder / name), **{k.replace("_", "-"): v for k, v in values.items()}})


def drop(folder: Path, name: str, key: str) -> None:
    write_table(folder / name, {k: v for k, v in read_table(folder / name).items() if k != key})


def write_durations(folder: Path) -> None:
    lengths = {key: str(soundfile.info(path).duration) for key, path in read_table(folder / "wav.scp").items()}
    write_table(folder / "utt2dur", lengths)


def described(*folders: Path, audio: AudioOptions | None = None, lang_dir: Path | None = None) -> DataDescription:
    return describe(read_data_sets(folders, jobs=2), DescribeOptions(audio, lang_dir=lang_dir))


def utterance(key: str = "a", txt: str = "X", wav: str = "/a.wav", speaker: str = "s") -> Utterance:
    return Utterance(key, wav, txt, 1.0, 16000, 16000, speaker)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_data_dir(tmp_path / "train", 30)


# one set


def test_hours_speakers_lengths_and_words_add_up(train: Path) -> None:
    found = described(train).sets[0]
    lengths = [soundfile.info(path).duration for path in read_table(train / "wav.scp").values()]
    assert found.hours == pytest.approx(sum(lengths) / 3600) and found.num_utterances == 30 and found.num_speakers == 1
    assert found.durations and found.durations.max == pytest.approx(max(lengths))
    assert found.durations.p95 == pytest.approx(np.percentile(lengths, 95))
    assert found.speaker_hours and found.speaker_hours.total == pytest.approx(found.hours)
    assert found.text.num_words == 50 and found.text.vocabulary == 5 and found.sample_rates == {16000: 30}
    assert found.text.num_repeated == 27 and [entry.count for entry in found.text.repeated] == [10, 10, 10]


def test_a_directory_and_its_list_hold_the_same(train: Path, tmp_path: Path) -> None:
    data_list = train / "data.list"
    lang = write_lang_dir(tmp_path / "lang")
    make_list.main(["--data-dir", str(train), "--lang-dir", str(lang), "--output", str(data_list)])
    directory, listed = (described(path, audio=AudioOptions()).sets[0] for path in (train, data_list))
    for name in ("num_utterances", "num_speakers", "sample_rates"):
        assert getattr(directory, name) == getattr(listed, name)
    assert (directory.audio, directory.text.characters) == (listed.audio, listed.text.characters)
    assert directory.hours == pytest.approx(listed.hours, abs=1e-6)


def test_with_utt2dur_no_audio_is_touched(train: Path) -> None:
    write_durations(train)
    expected = described(train).sets[0]
    for path in train.glob("*.wav"):
        path.unlink()
    found = described(train).sets[0]
    assert found.hours == pytest.approx(expected.hours) and not found.left_out


def test_a_segment_is_an_utterance_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    soundfile.write(folder / "r.wav", np.concatenate([np.zeros(16000), noise(1.0)]), 16000)
    tables = {"wav.scp": {"r": str(folder / "r.wav")}, "text": {"a": "X", "b": "Y"}, "utt2spk": {"a": "s", "b": "s"}}
    for name, table in {**tables, "segments": {"a": "r 0.0 1.0", "b": "r 1.0 2.0"}}.items():
        write_table(folder / name, table)
    found = described(folder, audio=AudioOptions()).sets[0]
    assert found.hours == pytest.approx(2 / 3600) and found.audio
    assert [problem.key for problem in found.audio.faulty] == ["a"] and found.audio.faults == {"no signal": 1}


def test_an_utterance_is_described_or_left_out_with_a_reason(train: Path) -> None:
    write_durations(train)
    for number, name in enumerate(("text", "utt2spk", "wav.scp", "utt2dur")):
        drop(train, name, f"spk-000{number}")
    change(train, "utt2dur", spk_0004="0", spk_0005="nan", spk_0006="-1")
    found = described(train).sets[0]
    assert found.num_utterances == 23 and len(found.left_out) == 7
    reasons = {problem.key: problem.reason for problem in found.left_out}
    assert reasons["spk-0001"] == "is not in utt2spk" and reasons["spk-0004"] == "has a duration of 0.0 s"


@given(st.lists(st.text(st.sampled_from("ab ÄÖ你\t\u00a0\u3000"), max_size=12)))
def test_words_and_characters_are_counted_as_a_plain_loop_counts_them(texts: list[str]) -> None:
    counts = count_text([utterance(txt=text) for text in texts])
    assert counts.words == Counter(word for text in texts for word in text.split())
    assert counts.num_words.tolist() == [len(text.split()) for text in texts]
    assert counts.num_characters.tolist() == [len("".join(text.split())) for text in texts]
    inventory = {entry.character: entry.count for entry in character_counts(counts)}
    assert inventory == Counter("".join(texts))


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=20), min_size=1, max_size=3))
def test_a_histogram_loses_no_value(samples: list[list[float]]) -> None:
    spreads = distributions([np.array(values) for values in samples])
    for values, spread in zip(samples, spreads):
        assert (spread is None) == (not values)
        if spread is not None:
            histogram = spread.histogram
            assert sum(histogram.counts) + histogram.below + histogram.above == len(values) == spread.count
            assert len(histogram.edges) == len(histogram.counts) + 1 <= 90
            assert all(left < right for left, right in zip(histogram.edges, histogram.edges[1:]))
    assert len({spread.histogram.edges for spread in spreads if spread}) <= 1, "bins differ between sets"


# several sets


def test_what_two_sets_share_is_told_with_both_utterances(train: Path, tmp_path: Path) -> None:
    test = write_data_dir(tmp_path / "test", 3)
    for name in ("wav.scp", "text", "utt2spk"):
        renamed = {("other-1" if key == "spk-0001" else key): value for key, value in read_table(test / name).items()}
        write_table(test / name, renamed)
    change(test, "wav.scp", other_1=read_table(train / "wav.scp")["spk-0009"])
    found = described(train, test)
    shared = {overlap.kind: overlap for overlap in found.overlaps}
    assert shared["utterance ids"].count == 2 and shared["speakers"].second_share == 1.0
    assert shared["transcripts"].first_utterances == 30 and shared["transcripts"].second_utterances == 3
    example = shared["audio files"].examples[0]
    assert shared["audio files"].count == 1 and (example.first_key, example.second_key) == ("spk-0009", "other-1")
    assert any("share 3 transcripts: 3 utterances (100.00 %) of test" in finding for finding in findings_of(found))


ITEMS = st.lists(st.sampled_from(["", "A", "B", "C D"]), max_size=8)


@given(ITEMS, ITEMS)
def test_shared_transcripts_are_those_of_a_double_loop(first: list[str], second: list[str]) -> None:
    sets = [
        DataSet(name, name, [utterance(f"{name}{i}", text, f"/{name}", name) for i, text in enumerate(texts)], [])
        for name, texts in (("x", first), ("y", second))
    ]
    found = {overlap.kind: overlap for overlap in overlaps(sets, number=9)}
    assert found["transcripts"].count == len({text for text in first if text and text in second})
    assert found["transcripts"].second_utterances == sum(1 for text in second if text and text in first)
    for example in found["transcripts"].examples:
        assert (example.first_key, example.second_key) == (
            f"x{first.index(example.item)}",
            f"y{second.index(example.item)}",
        )
    assert all(found[kind].count == 0 for kind in ("utterance ids", "speakers", "audio files"))


def test_faultless_sets_that_share_nothing_have_nothing_that_stands_out(tmp_path: Path) -> None:
    folder = write_data_dir(tmp_path / "one", 3)
    write_table(folder / "text", {f"spk-000{i}": f"one {'x' * (5 + 4 * i)}" for i in range(3)})
    (one,) = read_data_sets([folder], jobs=1)
    other = [
        replace(u, key=f"2{u.key}", speaker="2", txt=u.txt[::-1], wav=f"{folder}/./{u.key}.wav") for u in one.utterances
    ]
    description = describe([one, DataSet("two", "two", other, [])], DescribeOptions(AudioOptions()))
    assert findings_of(description) == [] and as_text(description).startswith(
        "== What stands out\n* nothing stands out\n"
    )


def test_words_that_the_first_set_lacks_and_unknown_units(train: Path, tmp_path: Path) -> None:
    test = write_data_dir(tmp_path / "test", 4)
    change(test, "text", spk_0001="STOP ÄÖ ÄÖ")
    found = described(train, test, lang_dir=write_lang_dir(tmp_path / "lang")).sets
    text = found[1].text
    assert text.unseen and [word.item for word in text.unseen.words] == ["ÄÖ"] and text.unseen.num_running_words == 2
    assert {entry.character for entry in text.unseen.characters} == {"Ä", "Ö"}
    assert text.unknown and text.unknown.num_unknown == 4 and text.unknown.utterances[0].key == "spk-0001"
    assert found[0].text.unseen is None and found[0].text.unknown and found[0].text.unknown.num_unknown == 0


# likely wrong transcripts


def test_a_transcript_that_does_not_fit_its_audio_is_suspected(train: Path) -> None:
    lengths = {key: f"{len(text.replace(' ', '')) * 0.08}" for key, text in read_table(train / "text").items()}
    write_table(train / "utt2dur", lengths)
    text = read_table(train / "text")["spk-0003"]
    change(train, "text", spk_0003=f"{text} {text} {text}", spk_0004="")
    suspects = described(train).sets[0].text.suspects
    assert suspects.count == 2 and [(w.key, w.reason) for w in suspects.worst] == [
        ("spk-0004", "is empty"),
        ("spk-0003", "3.0 times the median rate"),
    ]


@given(st.lists(st.floats(8, 16), min_size=5, max_size=40), st.floats(0.5, 2))
def test_the_range_of_rates_follows_the_speed_of_a_language(rates: list[float], factor: float) -> None:
    rule = RateRule(slowest=0.0, fastest=1e9)
    slowest, fastest = rule.range_of(np.array(rates))
    assert slowest < np.median(rates) < fastest
    assert rule.range_of(factor * np.array(rates)) == pytest.approx((factor * slowest, factor * fastest))
    assert RateRule().range_of(np.array(rates))[1] <= RateRule().fastest


# audio


def test_measures_of_audio() -> None:
    tone = 0.5 * np.sin(np.arange(16000) * 0.3).astype(np.float32)
    silence = np.zeros(8000, np.float32)
    found = measure(np.concatenate([silence, tone, silence[:4000]]), 16000)
    assert found.leading == pytest.approx(0.5, abs=0.03) and found.trailing == pytest.approx(0.25, abs=0.03)
    assert found.silence == pytest.approx(12000 / 28000, abs=0.02) and not list(faults(found, found.duration))
    assert measure(tone, 16000).level == pytest.approx(-9.03, abs=0.05)
    assert measure(tone + 0.1, 16000).offset == pytest.approx(0.1, abs=1e-3)


def test_one_word_in_a_long_silence_is_heard_and_a_click_is_none() -> None:
    hiss = 0.001 * noise(20.0)
    word = hiss.copy()
    word[160000:165000] += noise(5000 / 16000)
    click = 0.1 * noise(20.0)
    click[1000] = 1.0
    assert measure(word, 16000).silence == pytest.approx(1 - 5000 / 320000, abs=0.005)
    assert measure(click, 16000).silence == 0.0


@pytest.mark.parametrize(
    "samples, listed, kind",
    [
        (np.clip(2 * noise(1.0) + 1e-3, -1, 1).round(2), 1.0, None),
        (np.clip(4 * np.sin(np.arange(16000) * 0.3), -1, 1), 1.0, "clipped"),
        (noise(1.0) / 2 + 0.1, 1.0, "offset"),
        (np.zeros(16000), 1.0, "no signal"),
        (np.zeros(1), 1 / 16000, "no signal"),
        (0.003 * noise(1.0), 1.0, "quiet"),
        (np.concatenate([noise(0.5), np.zeros(16000)]), 1.5, None),
        (np.concatenate([noise(0.5), np.zeros(32000)]), 2.5, "silence"),
        (noise(1.0), 3.0, "length"),
    ],
)
def test_a_fault_is_named(samples: np.ndarray, listed: float, kind: str | None) -> None:
    found = measure(samples.astype(np.float32), 16000)
    assert [fault.kind for fault in faults(found, listed)] == ([kind] if kind else [])
    assert all(fault.excess > 1 for fault in faults(found, listed))


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0]), min_size=1, max_size=30))
def test_clipped_are_the_samples_of_runs_at_full_scale(samples: list[float]) -> None:
    text = "".join({0.0: ".", 0.5: ".", 1.0: "+", -1.0: "-"}[sample] for sample in samples)
    clipped = sum(len(run) for run in text.replace("+-", "+ -").replace("-+", "- +").replace(".", " ").split()
                  if len(run) >= 3)  # fmt: skip
    assert measure(np.array(samples, np.float32), 16000).clipped == pytest.approx(clipped / len(samples))


def test_faulty_and_unreadable_audio_is_listed_whatever_the_number_of_jobs(train: Path) -> None:
    write_durations(train)
    soundfile.write(train / "spk-0029.wav", np.clip(3 * np.sin(np.arange(15626) * 0.3), -1, 1), 16000)
    (train / "spk-0005.wav").write_bytes(b"RIFF")
    (train / "spk-0006.wav").unlink()
    proof = train / "was_run"
    change(train, "wav.scp", spk_0007=f"touch {proof} |")
    alone, together = (described(train, audio=AudioOptions(jobs)).sets[0].audio for jobs in (1, 2))
    assert alone == together and alone is not None
    assert [problem.key for problem in alone.faulty] == ["spk-0029"] and alone.faults == {"clipped": 1}
    assert [problem.key for problem in alone.unreadable] == ["spk-0005", "spk-0006", "spk-0007"]
    assert "not run unasked" in alone.unreadable[2].reason and not proof.exists()
    assert alone.sample_rates == {16000: 27} and alone.num_read == 27


def test_a_sample_is_drawn_alike_every_time(train: Path) -> None:
    first, again = (described(train, audio=AudioOptions(max_utterances=7)).sets[0].audio for _ in range(2))
    assert first == again and first is not None and first.num_read == 7
    whole = described(train, audio=AudioOptions(max_utterances=0)).sets[0].audio
    assert whole is not None and whole.num_read == 30


def test_a_set_whose_audio_is_all_gone_is_described(train: Path) -> None:
    for path in train.glob("*.wav"):
        path.unlink()
    description = described(train, audio=AudioOptions())
    assert description.sets[0].num_utterances == 0 and len(description.sets[0].left_out) == 30
    assert "30 utterances cannot be used" in as_text(description) and "</html>" in as_page(description)


# what is shown


class Tags(html.parser.HTMLParser):
    """The tags of a page, and what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {name for name, _ in attrs} & {"src", "srcset", "onload", "onerror", "onclick"}
        assert all((value or "").startswith("#") for name, value in attrs if name == "href")
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_loads_nothing_and_runs_nothing(train: Path, tmp_path: Path) -> None:
    change(train, "text", spk_0001=HOSTILE, spk_0002=HOSTILE)
    change(train, "utt2spk", spk_0001="<script>")
    change(train, "wav.scp", spk_0003="/<script>.wav")
    other = write_data_dir(tmp_path / "<script>", 5)
    change(other, "text", spk_0001=HOSTILE)
    description = described(train, other, audio=AudioOptions())
    page = as_page(description)
    tags = Tags()
    tags.feed(page)
    assert not tags.open and "svg" in tags.seen and not {"script", "link", "img", "b"} & tags.seen
    assert "url(" not in page and "@import" not in page and "&lt;script&gt;alert(1)" in page


def test_nothing_in_data_reaches_the_terminal_but_printable_characters(train: Path) -> None:
    change(train, "text", spk_0001=HOSTILE, spk_0002=HOSTILE)
    text = as_text(described(train, audio=AudioOptions()))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "\\x1b[31mRED\\u202e" in text


def test_the_command_writes_page_and_figures(train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    assert describe_data.main([str(train), "--output", str(page), "--json", str(figures), "--jobs", "1"]) == 0
    assert "distinct words" in capsys.readouterr().out and page.read_text().startswith("<!doctype html>")
    tree = json.loads(figures.read_text())
    assert tree["schema"] == 1 and tree["sets"][0]["num_utterances"] == 30
    assert sum(tree["sets"][0]["durations"]["histogram"]["counts"]) == 30
    assert {path.name for path in tmp_path.iterdir()} == {"train", "page.html", "figures.json"}


def test_half_a_surrogate_pair_in_a_list_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"wav": "/x.wav", "num_samples": 16000, "sample_rate": 16000, "duration": 1.0}
    lines = [json.dumps({"key": "a", "txt": "\ud800", **line}), json.dumps({"key": "b", "txt": "B", **line})]
    (tmp_path / "data.list").write_text("\n".join(lines) + "\n")
    files = ["--output", str(tmp_path / "page"), "--json", str(tmp_path / "json")]
    assert describe_data.main([str(tmp_path / "data.list"), "--no-audio", *files]) == 0
    assert "has half a surrogate pair in its transcript" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["{tmp}/nowhere"], "{tmp}/nowhere: is not there (give a Kaldi data directory"),
        (["{tmp}/empty"], "{tmp}/empty/wav.scp: is not there (give a Kaldi data directory"),
        (["{tmp}/train", "{tmp}/train/."], "{tmp}/train: is given twice"),
        (["{tmp}/train", "--lang-dir", "{tmp}/empty"], "{tmp}/empty/text_rules.yaml"),
        (["{tmp}/train", "--output", "{tmp}/none/page.html"], "{tmp}/none/page.html: cannot be written"),
        (["{tmp}/words"], "{tmp}/words/utt2dur:2: has a duration that is no number: 'long'"),
        (["{tmp}/blank"], "{tmp}/blank: has no utterance"),
    ],
)
def test_a_mistake_is_one_line(
    train: Path, tmp_path: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    words, blank = write_data_dir(tmp_path / "words", 2), write_data_dir(tmp_path / "blank", 1)
    (words / "utt2dur").write_text("spk-0000 1.0\nspk-0001 long\n")
    for name in ("wav.scp", "text", "utt2spk"):
        (blank / name).write_text("")
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    assert command.run(describe_data.main, [*given, "--no-audio"]) == 1
    shown = capsys.readouterr()
    assert told.format(tmp=tmp_path) in shown.err and shown.err.count("\n") == 1 and shown.out == ""


def test_the_tool_runs_from_any_folder(train: Path) -> None:
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "VIRTUAL_ENV": sys.prefix}
    tool = os.fspath(PROJECT / "tools/describe_data.sh")
    done = subprocess.run([tool, "--no-audio", "."], cwd=train, env=environment, capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b"" and done.stdout.startswith(b"== What stands out\n")


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
    assert described(folder).sets[0].num_utterances == 1_000_000
    assert time.monotonic() - started < 90


def test_real_speech_has_no_faults_that_it_does_not_have(corpora: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(PROJECT / "egs/librispeech/local"))
    import prepare_data

    for part in ("test-other-mini", "dev-mini"):
        prepare_data.prepare(corpora / "LibriSpeech" / part, tmp_path / part)
    found = described(tmp_path / "test-other-mini", tmp_path / "dev-mini", audio=AudioOptions(1, max_utterances=40))
    assert [(s.num_utterances, s.num_speakers) for s in found.sets] == [(100, 10), (496, 4)]
    assert all(overlap.count == 0 for overlap in found.overlaps if overlap.kind != "transcripts")
    for s in found.sets:
        assert s.audio and not s.audio.unreadable and s.audio.num_faulty == 0 and not s.left_out
        assert 0.05 < s.audio.silence_share < 0.35 and s.text.suspects.count == 0
        assert s.text.characters_per_second and 8 < s.text.characters_per_second.median < 16
