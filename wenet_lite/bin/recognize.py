"""Decode a list with a trained model, in one or more modes, whole-utterance or in chunks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite recognize`."""
    from wenet_lite.decoding.options import DECODING_MODES, DecodingOptions

    defaults = DecodingOptions()
    parser = command.Parser(prog="recognize", description=__doc__)
    parser.add_argument("--exp-dir", required=True, type=Path, help="run that made the checkpoint")
    parser.add_argument("--checkpoint", required=True, type=Path, help="state_dict, such as avg_10.pt")
    parser.add_argument("--data", required=True, type=Path, help="data.list to decode")
    parser.add_argument("--result-dir", required=True, type=Path, help="receives <mode>/{text,nbest.jsonl,decode.json}")
    parser.add_argument("--modes", nargs="+", choices=DECODING_MODES, default=list(DECODING_MODES), help="(all)")
    parser.add_argument("--chunk-size", type=int, default=-1, help="encoder frames a chunk, -1: whole (%(default)s)")
    parser.add_argument("--left-chunks", type=int, default=-1, help="chunks of history, -1: all (%(default)s)")
    parser.add_argument("--beam-size", type=int, default=defaults.beam_size, help="(default: %(default)s)")
    parser.add_argument("--ctc-weight", type=float, default=defaults.ctc_weight, help="in rescoring (%(default)s)")
    parser.add_argument("--reverse-weight", type=float, help="in rescoring (default: as in training)")
    parser.add_argument("--length-penalty", type=float, default=defaults.length_penalty, help="(%(default)s)")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that the list has for audio")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is a GPU")
    args = parser.parse_args(argv)

    import torch

    from wenet_lite.config import from_dict
    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.decoding.recognition import RecognitionOptions, recognize, write_results
    from wenet_lite.errors import ConfigError
    from wenet_lite.experiment import read_experiment
    from wenet_lite.model.context import context_warnings
    from wenet_lite.runtime.cpu import prepare_for_cpu
    from wenet_lite.runtime.model_dir import ModelDescription, load_model

    config = read_experiment(args.exp_dir / "train.yaml")
    if args.chunk_size > 0 and not config.model.encoder.streams:
        raise ConfigError("was trained on whole utterances; --chunk-size needs use_dynamic_chunk", path=args.exp_dir)
    chunk_size = args.chunk_size if args.chunk_size > 0 else config.model.encoder.static_chunk_size or -1
    for warning in context_warnings(config.model.encoder, chunk_size, args.left_chunks):
        _LOG.warning("%s: %s", args.exp_dir, warning)
    loaded = load_model(ModelDescription(config.features, config.model), args.checkpoint, args.exp_dir)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cpu":
        prepare_for_cpu(loaded.model)
    names = ("beam_size", "ctc_weight", "length_penalty", "reverse_weight")
    decoding = from_dict(DecodingOptions, {name: getattr(args, name) for name in names})
    options = RecognitionOptions(tuple(args.modes), decoding, chunk_size, args.left_chunks)
    manifest = read_manifest(args.data, allow_pipes=args.allow_pipes)
    result = recognize(loaded.model.to(device), loaded.fbank.to(device), manifest, options, device)
    for folder in write_results(result, loaded.tokenizer, options, args.result_dir):
        _LOG.info("%s: %d utterances, %d unreadable", folder / "text", len(manifest), len(result.failed))
    for mode, factor in result.real_time_factor.items():
        _LOG.info("%s: real-time factor %.4f", mode, factor)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
