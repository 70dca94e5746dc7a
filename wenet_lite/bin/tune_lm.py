"""Find the weights of a language model in prefix beam search: those with the fewest word errors on a dev set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_checkpoint, add_list

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite tune_lm`."""
    from wenet_lite.decoding.options import DecodingOptions

    parser = command.Parser(prog="tune_lm", description=__doc__)
    add_checkpoint(parser)
    add_list(parser, "data.list of the dev set, with transcripts")
    parser.add_argument("--lm", required=True, type=Path, metavar="ARPA", help="language model, .gz too")
    parser.add_argument("--output", required=True, type=Path, help="weights, JSON, for recognize --lm-weights")
    parser.add_argument("--beam-size", type=int, default=DecodingOptions().beam_size, help="(default: %(default)s)")
    args = parser.parse_args(argv)

    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch
    from wenet_lite.decoding.fusion_tuning import tune_fusion
    from wenet_lite.decoding.lm_coverage import check_coverage
    from wenet_lite.decoding.ngram_arpa import read_arpa
    from wenet_lite.decoding.posteriors import PosteriorReader
    from wenet_lite.experiment import load_run, read_experiment
    from wenet_lite.text.tokenizer import word_splitter
    from wenet_lite.transfer import choose_device

    config = read_experiment(args.exp_dir / "train.yaml")
    device = choose_device(args.device, 0)
    loaded = load_run(config, args.exp_dir, args.checkpoint, device)
    lm, manifest = read_arpa(args.lm), read_manifest(args.data, allow_pipes=args.allow_pipes)
    chunk_size = config.model.encoder.static_chunk_size or -1
    read = PosteriorReader(loaded.model, loaded.fbank, loaded.tokenizer, device, chunk_size)
    refs = {utterance.key: loaded.tokenizer.rules(utterance.txt) for utterance in manifest}
    words = word_splitter(loaded.tokenizer.units)
    coverage = check_coverage(lm.words, (" ".join(words(ref)) for ref in refs.values()))
    _LOG.log(logging.WARNING if coverage.cure else logging.INFO, "%s: %s", args.data, coverage)
    search = CtcPrefixBeamSearch(args.beam_size, loaded.model.blank_id)
    portions = []
    for found in read(manifest):
        for key, reason in found.batch.failed.items():
            _LOG.warning("dev utterance %s is left out: %s", key, reason)
        portions.append((search.tried(found.log_probs, found.lens), [refs[key] for key in found.batch.keys]))
    weights = tune_fusion(search, portions, lm, loaded.tokenizer)
    weights.write(args.output)
    print(f"lm_weight {weights.lm_weight:g}, word_bonus {weights.word_bonus:g}")
    print(f"WER {weights.wer_without:.2f} % without the language model, {weights.wer:.2f} % with it")
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
