"""ARPA files: whatever tool wrote them is read, and what is wrong with one is told with its line."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from wenet_lite.decoding.ngram_arpa import read_arpa, write_arpa
from wenet_lite.errors import DataError

ARPA = """\
\\data\\
ngram 1=5
ngram 2=4
ngram 3=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.5
-0.7\t</s>
-0.4\tTHE\t-0.3
-0.8\tCAT\t-0.2

\\2-grams:
-0.2\t<s> THE\t-0.1
-0.3\tTHE CAT
-0.5\tCAT </s>
-0.6\tCAT CAT\t0.25

\\3-grams:
-0.05\t<s> THE CAT
-0.15\tTHE CAT </s>

\\end\\
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lm.arpa"
    path.write_bytes(text.encode())
    return path


def test_numbers_are_natural_logs_of_the_files(tmp_path: Path) -> None:
    lm = read_arpa(write(tmp_path, ARPA))
    assert lm.num_ngrams == (5, 4, 2) and lm.order == 3
    log_10 = (-0.2 - 0.05 - 0.15, -0.2 - 0.1 - 0.3 - 0.4 - 0.7 - 0.3)  # THE CAT; THE THE: no trigram, no bigram
    assert lm.score(["THE CAT", "THE THE"]) / math.log(10) == pytest.approx(log_10, abs=1e-5)


def test_a_probability_of_0_stays_a_number(tmp_path: Path) -> None:
    lm = read_arpa(write(tmp_path, ARPA.replace("-0.3\tTHE CAT", "-inf\tTHE CAT")))
    log_prob, _ = lm.steps(np.array([lm.words["THE"] + 1]), np.array([lm.words["CAT"]]))
    assert -math.inf < log_prob[0] < -1000


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\t", " "),
        lambda text: text.replace("<unk>", "<UNK>"),
        lambda text: "made by hand\n\n" + text,
        lambda text: text.replace("ngram 1=5", "ngram  1 = 5").removesuffix("\n"),
        lambda text: text.replace("\t</s>\n-0.4\tTHE\t-0.3\n", "\t</s>\t0\n-0.4\tTHE\t-0.3\n"),
    ],
    ids=["crlf", "empty lines", "blanks", "UNK", "preamble", "header", "back-off of 0"],
)
def test_files_that_say_the_same_are_read_the_same(tmp_path: Path, change) -> None:
    expected = read_arpa(write(tmp_path, ARPA))
    found = read_arpa(write(tmp_path, change(ARPA)))
    assert found.words == expected.words and found.order_starts == expected.order_starts
    for name in ("keys", "log_probs", "backoffs", "suffixes"):
        assert (getattr(found, name) == getattr(expected, name)).all()


@pytest.mark.parametrize("name", ["out.arpa", "out.arpa.gz"])
def test_what_is_written_reads_back_and_is_sorted(tmp_path: Path, name: str) -> None:
    lm = read_arpa(write(tmp_path, ARPA.replace("CAT", "猫")))
    path = tmp_path / name
    write_arpa(lm, path)
    again = read_arpa(path)
    assert again.words == lm.words and (again.keys == lm.keys).all() and (again.suffixes == lm.suffixes).all()
    np.testing.assert_allclose(again.log_probs, lm.log_probs, rtol=1e-6)
    np.testing.assert_allclose(again.backoffs, lm.backoffs, rtol=1e-6)
    text = (gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()).decode()
    bigrams = [line.split("\t")[1] for line in text.split("-grams:\n")[2].split("\n\n")[0].splitlines()]
    assert bigrams == ["<s> THE", "THE 猫", "猫 </s>", "猫 猫"]
    assert [entry.name for entry in tmp_path.glob("*.tmp")] == []


def test_an_unknown_word_has_the_floor_where_the_file_lacks_unk(tmp_path: Path) -> None:
    path = write(tmp_path, ARPA.replace("ngram 1=5", "ngram 1=4").replace("-1.0\t<unk>\n", ""))
    lm = read_arpa(path)
    assert lm.index("DOG") == lm.unknown
    log_prob, _ = lm.steps(np.array([lm.start]), np.array([lm.unknown]))
    assert log_prob / math.log(10) == pytest.approx(-10.0 - 0.5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ngram 2=4", "ngram 2=5", r":19: the section of 2-grams has fewer than the 5 that \data\ announces"),
        ("ngram 2=4", "ngram 2=3", r":17: the section before \3-grams: has more n-grams than \data\ announces"),
        ("ngram 3=2", "ngram 4=2", r":4: expected 'ngram 3=<count>' or \1-grams:, found ngram 4=2"),
        ("\\3-grams:", "\\4-grams:", r":19: expected \3-grams:, found \4-grams:"),
        ("\\data\\", "", r": has no \data\, as an ARPA file has"),
        ("-0.3\tTHE CAT", "-0.3\tTHE", r":15: expected a log probability, 2 words and perhaps a back-off weight, f"),
        ("-0.3\tTHE CAT", "-0.3\tTHE CAT CAT 0 0", r"and perhaps a back-off weight, found 6 fields"),
        ("-0.3\tTHE CAT", "x\tTHE CAT", r":15: expected a number, found x"),
        ("THE CAT\n-0.5", "THE CAT\ty\n-0.5", r":15: expected a number, found y"),
        ("-0.3\tTHE CAT", "0.3\tTHE CAT", r":15: expected a logarithm of a probability, found 0.3"),
        ("-0.3\tTHE CAT", "nan\tTHE CAT", r":15: expected a logarithm of a probability, found nan"),
        ("CAT CAT\t0.25", "CAT CAT\tinf", r":17: expected a finite number, found inf"),
        ("THE CAT\n-0.5", "THE DOG\n-0.5", r":15: 'DOG' is no unigram of the file"),
        ("<s> THE CAT", "CAT THE CAT", r":20: the context 'CAT THE' of the n-gram is no 2-gram of the file (add it"),
        ("CAT </s>\n-0.6", "THE CAT\n-0.6", r":16: has an n-gram a second time (keep one of them)"),
        ("-0.8\tCAT", "-0.8\tTHE", r":11: has an n-gram a second time (keep one of them)"),
        ("\\end\\", "", r": ends before \end\ ("),
        ("CAT </s>\n\n\\end\\", "", r":21: expected a log probability, 3 words and perhaps"),
        ("-99\t<s>\t-0.5\n", "-99\t<S>\n", r": has no unigram <s> ("),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert ARPA.count(old) == 1
    path = write(tmp_path, ARPA.replace(old, new))
    with pytest.raises(DataError) as raised:
        read_arpa(path)
    text = str(raised.value)
    assert text.startswith(str(path)) and message in text and "\n" not in text


def test_a_torn_file_is_told(tmp_path: Path) -> None:
    packed = tmp_path / "lm.arpa.gz"
    packed.write_bytes(gzip.compress(ARPA.encode())[:-20])
    with pytest.raises(DataError, match=r"lm.arpa.gz: is not a whole gzip file"):
        read_arpa(packed)
    with pytest.raises(DataError, match=r"ends with 3 of 4 2-grams missing"):
        read_arpa(write(tmp_path, ARPA[: ARPA.index("-0.3\tTHE CAT")]))
    with pytest.raises(DataError, match=r"none: cannot read the file: No such file"):
        read_arpa(tmp_path / "none")
    with pytest.raises(DataError, match=r":11: is not UTF-8"):
        (tmp_path / "lm.arpa").write_bytes(ARPA.encode().replace(b"-0.8\tCAT", b"-0.8\tC\xffT"))
        read_arpa(tmp_path / "lm.arpa")
