"""`recognize --words`: the words of the text, with times, from any number of processes and after kills."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toy import Toy, run_module
from toy_model import make_untrained

from wenet_lite.bin import recognize
from wenet_lite.decoding.alignment import TokenSpan
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.recognized_words import RecognizedWord, recognized_words
from wenet_lite.decoding.word_files import WORD_FORMATS
from wenet_lite.decoding.words import UntimedWord, WordTiming
from wenet_lite.text.tokenizer import read_units

MODES = ("ctc_greedy_search", "attention", "attention_rescoring")
UNITS = ["<blank>", "<unk>", "<sos/eos>", "▁A", "B", "▁C", "今"]


@pytest.fixture(scope="module")
def exp_dir(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose CTC hears words, and whose decoder says `I` as long as it may."""
    exp_dir = make_untrained(toy, tmp_path_factory.mktemp("untrained"))
    units, weights = read_units(exp_dir / "units.txt"), torch.load(exp_dir / "model.pt", weights_only=True)
    weights["ctc.ctc_lo.bias"][units["▁"]] += 6.0
    weights["decoder.output_layer.bias"][units["I"]] += 100.0
    torch.save(weights, exp_dir / "model.pt")
    return exp_dir


@pytest.fixture(scope="module")
def alone(toy: Toy, exp_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    result_dir = tmp_path_factory.mktemp("alone")
    assert recognize.main(arguments(toy, exp_dir, result_dir)) == 0
    return result_dir


def arguments(toy: Toy, exp_dir: Path, result_dir: Path, *options: str) -> list[str]:
    where = ["--exp-dir", exp_dir, "--checkpoint", exp_dir / "model.pt", "--result-dir", result_dir]
    data = ["--data", toy.folder / "train/data.list", "--device", "cpu", "--max-frames", "500", "--num-workers", "0"]
    return [*map(str, [*where, *data]), "--modes", *MODES, "--words", *WORD_FORMATS, *options]


def contents(result_dir: Path) -> dict[str, bytes]:
    files = [path for path in result_dir.rglob("*") if path.is_file() and path.name != "decode.json"]
    return {str(path.relative_to(result_dir)): path.read_bytes() for path in files}


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(folder: Path) -> list[list[str]]:
    return [line.split()[1:] for line in (folder / "text").read_text().splitlines()]


@pytest.mark.parametrize("mode", ["ctc_greedy_search", "attention_rescoring"])
def test_every_format_has_the_words_of_the_text(alone: Path, mode: str) -> None:
    folder = alone / mode
    utterances = json_lines(folder / "words.jsonl")
    assert [[word["word"] for word in each["words"]] for each in utterances] == texts(folder)
    rows = [line.split() for line in (folder / "words.ctm").read_text().splitlines()]
    assert [row[4] for row in rows] == [*itertools.chain(*texts(folder))] and len(rows) > 48
    for each in utterances:
        edges = [0.0, *(word[edge] for word in each["words"] for edge in ("start", "end")), each["duration"]]
        assert edges == sorted(edges)
        assert all(0 < word["confidence"] < 1 for word in each["words"])
        for name, suffix in (("srt", "srt"), ("vtt", "vtt"), ("textgrid", "TextGrid")):
            text = (folder / name / f"{each['key']}.{suffix}").read_text()
            assert all(word["word"] in text for word in each["words"])
    assert json.loads((folder / "decode.json").read_text())["words"] == list(WORD_FORMATS)


def test_ranks_give_the_bytes_of_one(toy: Toy, exp_dir: Path, alone: Path, tmp_path: Path) -> None:
    done = run_module("wenet_lite.bin.recognize", *arguments(toy, exp_dir, tmp_path), processes=2)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(alone)


def test_a_decode_that_was_cut_short_goes_on(
    toy: Toy, exp_dir: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("wenet_lite.decoding.results.write_results", stop)
        with pytest.raises(KeyboardInterrupt):
            recognize.main(arguments(toy, exp_dir, tmp_path))
    part = tmp_path / ".parts/rank0.jsonl"
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    assert recognize.main(arguments(toy, exp_dir, tmp_path)) == 0
    assert contents(tmp_path) == contents(alone)


def test_words_of_which_there_are_more_than_frames_have_no_times(
    toy: Toy, exp_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert recognize.main(arguments(toy, exp_dir, tmp_path)) == 0
    folder = tmp_path / "attention"
    utterances = json_lines(folder / "words.jsonl")
    assert [[word["word"] for word in each["words"]] for each in utterances] == texts(folder)
    words = [word for each in utterances for word in each["words"]]
    assert len(words) == 24
    assert all((word["start"], word["end"], word["confidence"]) == (None, None, None) for word in words)
    assert "attention: 24 words have no times" in caplog.text
    assert (folder / "words.ctm").read_text() == (folder / "srt/train-00.srt").read_text() == ""
    assert (folder / "textgrid/train-00.TextGrid").read_text().count("intervals [") == 1


def test_what_cannot_be_heard_has_no_words(toy: Toy, exp_dir: Path, tmp_path: Path) -> None:
    lines = json_lines(toy.folder / "dev/data.list")[:3]
    lines[0]["wav"] = str(tmp_path / "none.wav")
    soundfile.write(tmp_path / "short.wav", np.zeros(400), 16000)
    lines[1].update(wav=str(tmp_path / "short.wav"), duration=0.025, num_samples=400)
    (tmp_path / "data.list").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert recognize.main(arguments(toy, exp_dir, tmp_path, "--data", str(tmp_path / "data.list"))) == 0
    folder = tmp_path / "ctc_greedy_search"
    found = {each["key"]: (each["duration"], len(each["words"])) for each in json_lines(folder / "words.jsonl")}
    assert found.pop(lines[0]["key"]) == found.pop(lines[1]["key"]) == (0.0, 0)
    assert set(found) == {lines[2]["key"]} == {path.stem for path in (folder / "textgrid").iterdir()}


def test_words_of_another_decode_are_replaced(toy: Toy, exp_dir: Path, tmp_path: Path) -> None:
    for part in ("train", "dev"):
        data = str(toy.folder / part / "data.list")
        assert recognize.main(arguments(toy, exp_dir, tmp_path, "--data", data)) == 0
    assert {path.stem[:3] for path in (tmp_path / "attention/textgrid").iterdir()} == {"dev"}


def test_the_lag_moves_words(toy: Toy, exp_dir: Path, alone: Path, tmp_path: Path) -> None:
    assert recognize.main(arguments(toy, exp_dir, tmp_path, "--lag-ms", "60")) == 0
    early, late = (json_lines(folder / "ctc_greedy_search/words.jsonl") for folder in (alone, tmp_path))
    moved = [b["start"] - a["start"] for x, y in zip(early, late) for a, b in zip(x["words"][1:], y["words"][1:])]
    assert np.median(moved) == pytest.approx(0.04)


def hypothesis(tokens: tuple[int, ...], score: float = -1.0, missing: tuple[int, ...] = ()) -> Hypothesis:
    spans = [TokenSpan(token, 5 * i, 5 * i + 1, (-0.5,)) for i, token in enumerate(tokens)]
    return Hypothesis(tokens, score, spans=tuple(None if i in missing else span for i, span in enumerate(spans)))


def test_a_word_needs_the_times_of_all_its_tokens() -> None:
    nbest = [hypothesis((3, 4, 5, 6, 5), missing=(1,))]
    words = recognized_words(nbest, UNITS, 40, 2.0, WordTiming())
    assert words[0] == UntimedWord("AB")
    assert [word.word.text for word in words[1:] if isinstance(word, RecognizedWord)] == ["C", "今", "C"]


def test_a_word_has_its_share_of_an_n_best_and_of_one_hypothesis_none() -> None:
    best, other = hypothesis((3, 5)), hypothesis((3, 6))

    def shares(nbest: list[Hypothesis]) -> list[float | None]:
        words = recognized_words(nbest, UNITS, 40, 2.0, WordTiming())
        return [word.evidence.nbest_share for word in words if isinstance(word, RecognizedWord)]

    assert shares([best, other]) == pytest.approx([1.0, 0.5])
    assert shares([best]) == [None, None]
    assert shares([hypothesis(()), other]) == []
