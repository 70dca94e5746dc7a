"""Confidence: shares are sums over the n-best, calibration finds the truth it was drawn from."""

import math
from pathlib import Path

import numpy as np
import pytest

from wenet_lite.decoding.alignment import TokenSpan
from wenet_lite.decoding.calibration import Calibration, Logistic, fit_calibration, read_calibration, write_calibration
from wenet_lite.decoding.confidence import Evidence, correct_words, nbest_shares, reliability, word_evidence
from wenet_lite.decoding.words import WordSpan
from wenet_lite.errors import ConfigError


def test_evidence_is_of_each_tokens_best_frame() -> None:
    word = WordSpan("AB", (TokenSpan(3, 0, 2, (-3.0, math.log(0.9))), TokenSpan(4, 2, 3, (math.log(0.4),))))
    (evidence,) = word_evidence([word], [0.5])
    assert evidence.posterior == pytest.approx(0.6) and evidence.worst_posterior == pytest.approx(0.4)
    assert evidence.raw_confidence == pytest.approx(0.3)
    assert word_evidence([word])[0].raw_confidence == pytest.approx(0.6)


def test_a_share_is_the_probability_of_the_hypotheses_with_the_word_at_its_place() -> None:
    hyps = [["A", "B", "A"], ["A", "A"], ["C", "B", "A"], []]
    scores = [math.log(p) - 7 for p in (0.4, 0.3, 0.2, 0.1)]
    assert nbest_shares(hyps, scores) == pytest.approx([0.7, 0.6, 0.9])
    assert nbest_shares([["A"]], [-3.0]) == [1.0]
    assert nbest_shares([[], ["A"]], [-1.0, -2.0]) == []


def test_right_words_are_those_of_the_shortest_edit() -> None:
    assert correct_words(["A", "B", "C"], ["A", "X", "X", "C"]) == [True, False, False, True]
    assert correct_words([], ["A"]) == [False]


def test_a_fit_is_calibrated_on_other_words_of_the_same_kind() -> None:
    random = np.random.default_rng(0)

    def draw(count: int) -> tuple[list[Evidence], list[bool]]:
        worst = random.uniform(0.2, 1, count)
        words = [Evidence(p**0.5, p, s) for p, s in zip(worst.tolist(), random.uniform(0.3, 1, count).tolist())]
        truth = Logistic(-3.0, 0.4, 0.6, 2.0)
        return words, [bool(random.random() < truth(word)) for word in words]

    calibration = fit_calibration(*draw(4000))
    words, correct = draw(4000)
    before = reliability([word.raw_confidence for word in words], correct).expected_calibration_error
    after = reliability([calibration(word) for word in words], correct).expected_calibration_error
    alone = [calibration(Evidence(word.posterior, word.worst_posterior)) for word in words]
    assert after < 0.03 < before
    assert reliability(alone, correct).expected_calibration_error < 0.03
    assert all(0 <= calibration(Evidence(p, p, p)) <= 1 for p in (0.0, 1e-30, 1.0))


def test_the_calibration_error_is_the_mean_distance_of_the_bins() -> None:
    table = reliability([0.05, 0.15, 0.95, 1.0], [False, True, True, False], num_bins=10)
    assert [part.count for part in table.bins] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert table.expected_calibration_error == pytest.approx((0.05 + 0.85 + 2 * 0.475) / 4)
    assert str(table).splitlines()[3] == "0.90-1.00       2      0.975    0.500"
    assert str(table).endswith("expected calibration error 0.4625")


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    calibration = Calibration(Logistic(0.1, 1.0, 2.0), Logistic(-1.0, 0.5, 0.25, 3.0))
    path = tmp_path / "confidence.json"
    write_calibration(calibration, path)
    assert read_calibration(path) == calibration
    path.write_text('{"schema": 2, "posterior": {}, "nbest": {}}')
    with pytest.raises(ConfigError, match="posterior.bias"):
        read_calibration(path)
    path.write_text("[")
    with pytest.raises(ConfigError, match="is not JSON"):
        read_calibration(path)


def test_what_cannot_be_fitted_is_refused() -> None:
    words = [Evidence(0.5, 0.5, 0.5), Evidence(0.6, 0.5, 0.5)]
    with pytest.raises(ConfigError, match="some are right"):
        fit_calibration(words, [True, True])
    with pytest.raises(ConfigError, match="n-best"):
        fit_calibration([words[0], Evidence(0.5, 0.5)], [True, False])
