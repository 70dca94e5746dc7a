"""How well confidences agree with what is right: fitted on some speakers, measured on others.

    python benchmarks/word_confidence.py --exp-dir <run> --checkpoint <weights> --data <data.list> ...
        [--test <data.list>]

Either half of the speakers of `--data` is fitted on once and measured on the other; then all of them are fitted on, and
`--test` is measured on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.manifest import read_manifest
from wenet_lite.data.utterance import Utterance
from wenet_lite.decoding.alignment import Alignment, CtcAligner
from wenet_lite.decoding.calibration import fit_calibration
from wenet_lite.decoding.confidence import Evidence, correct_words, nbest_shares, reliability, word_evidence
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.options import DecodingMode, DecodingOptions
from wenet_lite.decoding.words import word_spans
from wenet_lite.experiment import read_experiment
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.model_dir import LoadedModel, ModelDescription, load_model


@torch.no_grad()
def judged_words(loaded: LoadedModel, utterance: Utterance) -> list[tuple[Evidence, bool]]:
    """Evidence of each recognised word of an utterance, and whether it is right."""
    samples, rate = read_audio(utterance.source, utterance.start, utterance.end)
    samples = resample(samples, rate, SAMPLE_RATE)
    features, lens = loaded.fbank(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    encoder_out, encoder_lens = loaded.model.encoder(features, lens)
    mode: DecodingMode = "attention_rescoring"
    hyps = Decoder(loaded.model, DecodingOptions())(encoder_out, encoder_lens, [mode])[mode][0]
    log_probs = loaded.model.ctc_log_probs(encoder_out)
    found = CtcAligner(loaded.model.blank_id)(log_probs, encoder_lens, [hyps[0].tokens])[0]
    assert isinstance(found, Alignment)
    words = word_spans(found.spans, list(loaded.tokenizer.units))
    texts = [loaded.tokenizer.decode(hyp.tokens).split() for hyp in hyps]
    shares = nbest_shares(texts, [hyp.score for hyp in hyps])
    right = correct_words(utterance.txt.split(), texts[0])
    return list(zip(word_evidence(words, shares), right))


def report(fitted: list[tuple[Evidence, bool]], measured: list[tuple[Evidence, bool]]) -> None:
    """Print the errors of raw and calibrated confidences, and the calibrated bins."""
    calibration = fit_calibration([evidence for evidence, _ in fitted], [right for _, right in fitted])
    right = [correct for _, correct in measured]
    print(f"{len(fitted)} words fitted, {len(measured)} measured, {100 * sum(right) / len(right):.1f} % right")
    print(calibration)
    alone = [replace(evidence, nbest_share=None) for evidence, _ in measured]
    for name, words in (("posterior", alone), ("posterior and n-best", [evidence for evidence, _ in measured])):
        raw = reliability([word.raw_confidence for word in words], right)
        calibrated = reliability([calibration(word) for word in words], right)
        print(f"\n{name}: raw {raw.expected_calibration_error:.4f}\n{calibrated}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp-dir", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", nargs="+", required=True, help="data.list, one or more")
    parser.add_argument("--test", help="data.list")
    args = parser.parse_args()
    config = read_experiment(args.exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), args.checkpoint, args.exp_dir)
    utterances = [utterance for path in args.data for utterance in read_manifest(path)]
    speakers = sorted({utterance.speaker for utterance in utterances})
    halves: tuple[list[tuple[Evidence, bool]], ...] = ([], [])
    for utterance in utterances:
        halves[speakers.index(utterance.speaker) % 2].extend(judged_words(loaded, utterance))
    report(*halves)
    report(*reversed(halves))
    if args.test:
        tested = [word for utterance in read_manifest(args.test) for word in judged_words(loaded, utterance)]
        report([*halves[0], *halves[1]], tested)


if __name__ == "__main__":
    main()
