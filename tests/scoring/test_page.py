"""The page of an evaluation: everything is in it, escaped, and nothing comes from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transcripts import scores_of, write

from wenet_lite.bin import command, score
from wenet_lite.scoring.bootstrap import Interval, wer_interval
from wenet_lite.scoring.evaluation import Evaluation
from wenet_lite.scoring.page import page_lines
from wenet_lite.scoring.page_curves import cumulative_share, length_curve, share_curve
from wenet_lite.scoring.page_utterances import utterance_items
from wenet_lite.scoring.wer import Scores

VOID = {"meta", "input"}
MAY_STAY_OPEN = {"option", "li"}
HOSTILE = '<script>alert(1)</script> "><img/src=x/onerror=alert(2)> &amp; \u202e</p></article>'


class Page(HTMLParser):
    """What a browser sees: elements with their attributes, and aligned pairs of each utterance."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.pairs: dict[str, list[tuple[str, str]]] = {}
        self.text: dict[str, str] = {}
        self._key = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in MAY_STAY_OPEN and self.open[-1] == tag:
            self.open.pop()
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "article":
            self._key = dict(attrs)["data-key"] or ""
            self.pairs[self._key] = []
        if tag == "i" and "article" in self.open:
            self.pairs[self._key].append(("", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self.open[-1] in MAY_STAY_OPEN and self.open[-1] != tag:
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            self.text[tag] = self.text.get(tag, "") + data
        if self.open[-3:-1] == ["article", "p"]:  # in <i>
            self.pairs[self._key][-1] = data.strip(), ""
        elif self.open[-4:] == ["article", "p", "i", "b"]:
            self.pairs[self._key][-1] = self.pairs[self._key][-1][0], data.strip()
        elif self.open[-2:] == ["article", "p"]:
            self.pairs[self._key] += [(word, word) for word in data.split()]


def page_of(scores: Scores, title: str = "decode/text", links: dict[str, str] | None = None) -> Page:
    evaluation = Evaluation("word", scores, wer_interval(scores))
    return Page("\n".join(page_lines(evaluation, title, links or {})))


SENTENCES = st.lists(st.sampled_from(["a", "bb", "<b>", "&lt;", "'\"", "你"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_alignments_read_as_they_are_the_worst_first(pairs: list[tuple[str, str]]) -> None:
    scores = scores_of(*pairs)
    evaluation = Evaluation("word", scores, Interval(0, 0, "utterances", len(pairs)))
    page = Page("".join(utterance_items(evaluation, {})))
    shown = {key: [tuple(w.replace("∅", "") for w in pair) for pair in found] for key, found in page.pairs.items()}
    assert shown == {utterance.key: list(utterance.pairs) for utterance in scores.utterances}
    errors = {utterance.key: utterance.counts.errors for utterance in scores.utterances}
    assert [errors[key] for key in page.pairs] == sorted(errors.values(), reverse=True)


def test_nothing_in_the_data_becomes_markup() -> None:
    word = HOSTILE.replace(" ", "_")
    scores = scores_of((f"a {word} b", f"{word} c"), (word, word))
    harmless = page_of(scores_of(("a w b", "w c"), ("w", "w")))
    page = page_of(scores, title=HOSTILE, links={"u0": '"onclick="alert(3)'})
    names = [name for name, attributes in page.elements if attributes.get("class") != "play"]
    assert names == [name for name, _ in harmless.elements]
    assert "img" not in names and "\u202e" not in page.text["body"]
    assert page.text["h1"].startswith('<script>alert(1)</script> "><img/src=x')
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_the_page_loads_nothing() -> None:
    scores = scores_of(*[("a b c", "a x")] * 30)
    source = "\n".join(page_lines(Evaluation("word", scores, wer_interval(scores)), "text", {"u1": "a.flac"}))
    page = Page(source)
    addresses = [a[name] for _, a in page.elements for name in ("href", "src", "srcset", "action") if name in a]
    assert addresses == ["a.flac"]
    assert not {"link", "iframe", "object", "embed", "img"} & {name for name, _ in page.elements}
    assert "://" not in source and "url(" not in source and "@import" not in source
    policy = next(a["content"] for name, a in page.elements if name == "meta" and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_curves_are_those_of_the_scores() -> None:
    scores = scores_of(*[("a b", "a b")] * 6, ("a b", "x y"), ("c", "d"), ("", "e"))
    assert cumulative_share(scores).tolist() == [0, 50, 75, 100, 100, 100, 100, 100, 100, 100]
    assert "worst 11 % of the utterances" in page_of(scores).text["figcaption"]
    assert "1 to 2 in the reference, 8 utterances: error rate 20.0 %" in length_curve(scores)


@pytest.mark.parametrize("pair", [("a", "a"), ("", "b"), ("", "")])
def test_sets_without_errors_or_words_have_a_page_too(pair: tuple[str, str]) -> None:
    scores = scores_of(pair)
    assert page_of(scores).pairs.keys() == {"u0"}
    assert bool(length_curve(scores)) == bool(pair[0]) and bool(share_curve(scores)) == (pair[0] != pair[1])


def test_the_command_writes_a_page_of_all_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ref = write(tmp_path / "ref", ["a-1 one two", "b-1 three"])
    hyp = write(tmp_path / "hyp", ["a-1 one too", "b-1 three"])
    files = {
        "utt2spk": write(tmp_path / "utt2spk", ["a-1 ann", "b-1 bob"]),
        "hotwords": write(tmp_path / "hotwords", ["two"]),
        "compare": write(tmp_path / "other", ["a-1 one two", "b-1 tree"]),
        "audio": write(tmp_path / "wav.scp", [f"a-1 {tmp_path}/a b.flac", "b-1 cat b.wav |"]),
        "nbest": write(
            tmp_path / "nbest.jsonl",
            [
                '{"key": "a-1", "nbest": [{"text": "one too", "score": -1}, {"text": "one two", "score": -2}]}',
                '{"key": "b-1", "nbest": [{"text": "three", "score": -1.5}]}',
            ],
        ),
    }
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    html = tmp_path / "page.html"
    assert command.run(score.main, ["--ref", str(ref), "--hyp", str(hyp), "--html", str(html), *options]) == 0
    assert "%WER 0.00 [ 0 / 3, 0 ins, 0 del, 0 sub ] of the best of each n-best list" in capsys.readouterr().out
    page = Page(html.read_text(encoding="utf-8"))
    assert [a["href"] for name, a in page.elements if name == "a"] == ["a%20b.flac"]
    assert "2 hypotheses, the best is number 2 with 0 errors" in page.text["summary"]
    for told in ("B-WER", "U-WER", "second system", "best of each n-best list", "95 % confidence interval"):
        assert told in page.text["dl"]
    assert "ann" in page.text["table"] and "two → too" in page.text["table"]
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []
