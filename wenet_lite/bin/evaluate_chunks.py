"""Tell how word error rate, latency and flicker of a streaming model depend on chunk and history."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_checkpoint, add_list

if TYPE_CHECKING:
    from wenet_lite.scoring.chunk_report import ChunkRow

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite evaluate_chunks`."""
    args = _parse(argv)

    from wenet_lite.config import from_dict
    from wenet_lite.data.kaldi import read_table
    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.decoding.chunk_evaluation import ChunkEvaluation, ChunkEvaluationOptions
    from wenet_lite.experiment import load_run, read_experiment
    from wenet_lite.model.context import context_warnings
    from wenet_lite.scoring.chunk_report import chunk_table
    from wenet_lite.transfer import choose_device

    options = from_dict(
        ChunkEvaluationOptions,
        {
            "chunk_sizes": args.chunks,
            "left_chunks": args.left_chunks,
            "mode": args.mode,
            "num_streamed": args.streaming_utterances,
            "counts_computation": args.computation,
        },
    )
    config = read_experiment(args.exp_dir / "train.yaml")
    for context in options.contexts:
        for warning in context_warnings(config.model.encoder, *context):
            _LOG.warning("%s: %s", args.exp_dir, warning)
    device = choose_device(args.device, 0)
    loaded = load_run(config, args.exp_dir, args.checkpoint, device)
    evaluation = ChunkEvaluation(loaded.model, loaded.fbank, loaded.tokenizer, options, device)
    manifest = read_manifest(args.data, allow_pipes=args.allow_pipes)
    args.result_dir.mkdir(parents=True, exist_ok=True)
    rows = evaluation(manifest, read_table(args.ref), args.num_workers)
    print(chunk_table(rows), end="")
    _write(rows, args.result_dir)
    return 0


def _write(rows: Sequence[ChunkRow], result_dir: Path) -> None:
    from wenet_lite.data.kaldi import write_lines
    from wenet_lite.drawing import NoMatplotlibError
    from wenet_lite.scoring.chunk_report import chunk_json_lines, chunk_table

    write_lines(result_dir / "chunks.md", chunk_table(rows).encode().splitlines())
    write_lines(result_dir / "chunks.jsonl", (line.encode() for line in chunk_json_lines(rows)))
    try:
        from wenet_lite.scoring.chunk_plot import draw_chunks
    except NoMatplotlibError as error:
        _LOG.warning("%s is not drawn: %s", result_dir / "chunks.png", error)
    else:
        draw_chunks(rows, result_dir / "chunks.png")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    from wenet_lite.decoding.options import DECODING_MODES

    parser = command.Parser(prog="evaluate_chunks", description=__doc__)
    add_checkpoint(parser)
    add_list(parser, "data.list to decode")
    parser.add_argument("--ref", required=True, type=Path, help="reference transcripts, data/x/text")
    parser.add_argument("--result-dir", required=True, type=Path, help="receives chunks.md, chunks.jsonl, chunks.png")
    parser.add_argument(
        "--chunks", nargs="+", type=int, default=[-1, 16, 8, 4], metavar="C",
        help="encoder frames a chunk, -1: whole utterances (default: -1 16 8 4)",
    )  # fmt: skip
    parser.add_argument(
        "--left-chunks", nargs="+", type=int, default=[-1, 4], metavar="L",
        help="chunks of history, -1: all (default: -1 4)",
    )  # fmt: skip
    parser.add_argument("--mode", choices=DECODING_MODES, default="attention_rescoring", help="(default: %(default)s)")
    parser.add_argument(
        "--streaming-utterances", type=int, default=50, metavar="N",
        help="that are heard as streams, for emission and flicker; evenly spread over the list (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--computation", action="store_true", help="add the measured computation to emission latency")
    parser.add_argument("--num-workers", type=int, default=1, help="processes that read audio (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.num_workers < 0:
        parser.error("--num-workers must not be negative")
    return args


if __name__ == "__main__":
    raise SystemExit(command.run(main))
