"""Everything that is to be told about one decode: error rates and what is beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wenet_lite.data.kaldi import PathLike
from wenet_lite.scoring.bootstrap import Comparison, Interval, compare, wer_interval
from wenet_lite.scoring.breakdown import read_speakers
from wenet_lite.scoring.hotwords import BiasedScores, biased_scores, read_hotwords
from wenet_lite.scoring.nbest import ScoredNbest, read_nbest, score_nbest
from wenet_lite.scoring.wer import Mode, Scores, Unit, missing_error, score_files
from wenet_lite.text.rules import load_rules


@dataclass(frozen=True)
class EvaluationOptions:
    """Attributes:
    mode: what becomes of missing hypotheses, see `score_files`.
    unit: what is counted.
    rules: directory or YAML with the model's text rules; without, references are compared as they stand.
    utt2spk: speakers of the utterances.
    compare: hypotheses of another system.
    hotwords: file of hotword phrases, one a line.
    nbest: `nbest.jsonl` of the decode.
    """

    mode: Mode = "strict"
    unit: Unit = "word"
    rules: PathLike | None = None
    utt2spk: PathLike | None = None
    compare: PathLike | None = None
    hotwords: PathLike | None = None
    nbest: PathLike | None = None


@dataclass(frozen=True)
class Evaluation:
    """Attributes:
    unit: what was counted.
    scores: the aligned set.
    interval: confidence interval of its error rate.
    utt2spk: speaker of each utterance, where asked for.
    comparison: with another system, where asked for.
    hotwords: errors on hotwords and on other words, where asked for.
    nbest: the scored n-best lists, where asked for.
    """

    unit: Unit
    scores: Scores
    interval: Interval
    utt2spk: Mapping[str, str] | None = None
    comparison: Comparison | None = None
    hotwords: BiasedScores | None = None
    nbest: ScoredNbest | None = None


def evaluate(ref_path: PathLike, hyp_path: PathLike, options: EvaluationOptions) -> Evaluation:
    """Score hypotheses and whatever else `options` asks for.

    Raises:
        ConfigError: if the text rules cannot be read.
        DataError: if a file is malformed or does not fit the references; a missing hypothesis of `hyp_path` is left to
            the caller, one of the other system is not.
    """
    rules = None if options.rules is None else load_rules(options.rules)
    scores = score_files(ref_path, hyp_path, options.mode, options.unit, rules)
    utt2spk = comparison = hotwords = nbest = None
    if options.utt2spk is not None:
        utt2spk = read_speakers(options.utt2spk, scores)
    if options.compare is not None:
        other = score_files(ref_path, options.compare, options.mode, options.unit, rules)
        if other.missing and options.mode == "strict":
            raise missing_error(other, ref_path, options.compare)
        comparison = compare(scores, other, utt2spk)
    if options.hotwords is not None:
        hotwords = biased_scores(scores, read_hotwords(options.hotwords, options.unit, rules))
    if options.nbest is not None:
        nbest = score_nbest(scores, read_nbest(options.nbest), options.unit, options.nbest)
    return Evaluation(options.unit, scores, wer_interval(scores, utt2spk), utt2spk, comparison, hotwords, nbest)
