"""KenLM's files through KenLM's package: the same scores as from our own automaton."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from wenet_lite.decoding.ngram_arpa import read_arpa, write_arpa
from wenet_lite.decoding.ngram_estimation import EstimationOptions, estimate_lm
from wenet_lite.decoding.ngram_kenlm import KenLm
from wenet_lite.errors import ConfigError, DataError

TEXT = ["THE CAT SAT", "THE CAT SAT ON THE MAT", "A DOG SAT ON THE CAT", "THE DOG RAN"]


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    write_arpa(estimate_lm(TEXT, EstimationOptions(3)), tmp_path / "lm.arpa")
    return tmp_path / "lm.arpa"


def test_scores_are_those_of_the_automaton(arpa: Path) -> None:
    pytest.importorskip("kenlm")
    ours, kenlm = read_arpa(arpa), KenLm(arpa)
    texts = [*TEXT, "", "THE ZEBRA SAT", "CAT THE ON"]
    assert kenlm.score(texts).tolist() == pytest.approx(ours.score(texts).tolist(), abs=1e-4)


def test_a_file_that_kenlm_cannot_read_is_told(tmp_path: Path) -> None:
    pytest.importorskip("kenlm")
    (tmp_path / "lm.bin").write_text("no model")
    with pytest.raises(DataError, match=r"lm.bin: is no language model that KenLM can read$"):
        KenLm(tmp_path / "lm.bin")


def test_a_missing_package_is_told_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(ConfigError, match=r"^lm.bin: needs the package kenlm, .* \(pip install kenlm, or give an ARPA"):
        KenLm("lm.bin")
