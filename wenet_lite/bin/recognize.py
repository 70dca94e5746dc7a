"""Decode a list with a trained model, in one or more modes, whole-utterance or in chunks.

Alone or under launch, with the same results. A decode that was killed goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_checkpoint, add_list

if TYPE_CHECKING:
    from wenet_lite.decoding.recognition_options import RecognitionOptions
    from wenet_lite.experiment import ExperimentConfig

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite recognize`."""
    args = _parse(argv)

    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.decoding.batch_recognizer import BatchRecognizer
    from wenet_lite.decoding.calibration import read_calibration
    from wenet_lite.decoding.fusion_files import load_fusion
    from wenet_lite.decoding.part_files import PartFolder
    from wenet_lite.decoding.recognition import ListRecognizer
    from wenet_lite.decoding.results import WordOutput, write_results
    from wenet_lite.distributed import World, gather_objects, leave, process_group
    from wenet_lite.experiment import load_run, read_experiment
    from wenet_lite.model.context import context_warnings
    from wenet_lite.run_lock import run_lock
    from wenet_lite.transfer import choose_device

    config = read_experiment(args.exp_dir / "train.yaml")
    options = _options(args, config)
    words = WordOutput(tuple(args.words), read_calibration(args.calibration) if args.calibration else None)
    device = choose_device(args.device, World.from_environment().local_rank)
    loaded = load_run(config, args.exp_dir, args.checkpoint, device, pack=options.dtype == "float32")
    manifest = read_manifest(args.data, allow_pipes=args.allow_pipes)
    told = args.lm and World.from_environment().is_main
    references = [loaded.tokenizer.rules(utterance.txt) for utterance in manifest] if told else []
    fusion = load_fusion(loaded.tokenizer, options.decoding, args.hotwords, args.lm, references)
    counting = [args.checkpoint, args.exp_dir / "train.yaml", args.exp_dir / "units.txt", args.data, *manifest.files]
    counting += [path for path in (args.hotwords, args.lm) if path is not None]
    parts = PartFolder(args.result_dir / f".parts{options.suffix}", options.fingerprint(device.type, counting))
    recognizer = BatchRecognizer(loaded.model, loaded.fbank, options, device, fusion)
    with process_group(device) as world, run_lock(parts.folder, "decode") if world.is_main else nullcontext():
        if world.is_main:
            for warning in context_warnings(config.model.encoder, options.chunk_size, options.num_left_chunks):
                _LOG.warning("%s: %s", args.exp_dir, warning)
        done = gather_objects(parts.mend() if world.is_main else set(), world)[0]
        list_recognizer = ListRecognizer(recognizer, loaded.tokenizer, manifest)
        if done and world.is_main:
            _LOG.info("going on: %d of %d batches are there", len(done), len(list_recognizer.plan.frames))
        list_recognizer(parts, done, world, args.num_workers)
        gather_objects(None, world)
        if world.is_main:
            rejected = dict(manifest.rejected)
            summary = write_results(list(parts.parts()), rejected, options, recognizer.frame_ms, args.result_dir, words)
            parts.remove()
            for mode, factor in summary.real_time_factor.items():
                text = args.result_dir / options.folder(mode) / "text"
                _LOG.info(
                    "%s: %d utterances, %d unreadable, real-time factor %.4f",
                    text, summary.num_utterances, summary.num_failed, factor,
                )  # fmt: skip
            _LOG.info(
                "%.2f h of audio, %.1f h an hour, %.2f utterances a second, padding %.1f %%",
                summary.audio_seconds / 3600, summary.hours_per_hour, summary.utterances_per_second,
                100 * summary.padding,
            )  # fmt: skip
    return leave(0, world)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    from wenet_lite.decoding.options import DECODING_MODES, DecodingOptions
    from wenet_lite.decoding.recognition_options import RecognitionOptions
    from wenet_lite.decoding.word_files import WORD_FORMATS
    from wenet_lite.decoding.words import WordTiming

    defaults = DecodingOptions()
    parser = command.Parser(prog="recognize", description=__doc__)
    add_checkpoint(parser)
    add_list(parser, "data.list to decode")
    parser.add_argument("--result-dir", required=True, type=Path, help="receives <mode>/{text,nbest.jsonl,decode.json}")
    parser.add_argument("--modes", nargs="+", choices=DECODING_MODES, help="(all)")
    parser.add_argument("--chunk-size", type=int, default=-1, help="encoder frames a chunk, -1: whole (%(default)s)")
    parser.add_argument("--left-chunks", type=int, default=-1, help="chunks of history, -1: all (%(default)s)")
    parser.add_argument("--streaming", action="store_true", help="encode as a stream, chunk by chunk through caches")
    parser.add_argument("--beam-size", type=int, default=defaults.beam_size, help="(default: %(default)s)")
    parser.add_argument("--ctc-weight", type=float, default=defaults.ctc_weight, help="in rescoring (%(default)s)")
    parser.add_argument("--reverse-weight", type=float, help="in rescoring (default: as in training)")
    parser.add_argument("--length-penalty", type=float, default=defaults.length_penalty, help="(%(default)s)")
    parser.add_argument("--joint-ctc-weight", type=float, default=defaults.joint_ctc_weight, help="(%(default)s)")
    parser.add_argument("--blank-penalty", type=float, default=defaults.blank_penalty, help="(%(default)s)")
    parser.add_argument("--words", nargs="+", choices=WORD_FORMATS, default=[], help="write words with times (none)")
    parser.add_argument("--calibration", type=Path, metavar="JSON", help="of their confidences, by calibrate (none)")
    parser.add_argument("--lag-ms", type=int, default=WordTiming().lag_ms, help="of peaks behind sounds (%(default)s)")
    parser.add_argument("--lm", type=Path, metavar="ARPA", help="n-gram language model of words, .gz too")
    parser.add_argument("--lm-weights", type=Path, metavar="JSON", help="its weights, as tune_lm has written them")
    parser.add_argument("--lm-weight", type=float, help=f"of its natural log ({defaults.lm_weight})")
    parser.add_argument("--word-bonus", type=float, help=f"for each word ({defaults.word_bonus})")
    parser.add_argument("--hotwords", type=Path, metavar="FILE", help="phrases, one a line; <tab> and score where not")
    parser.add_argument(
        "--hotword-score", type=float, default=defaults.hotword_score, help="for each unit of them (%(default)s)"
    )
    parser.add_argument(
        "--max-segment-seconds", type=float, default=RecognitionOptions.max_segment_seconds, metavar="S",
        help="longer audio is recognised in segments (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--max-frames",
        type=int,
        default=RecognitionOptions.max_frames,
        help="padded feature frames a batch holds at most (%(default)s)",
    )
    parser.add_argument("--num-workers", type=int, default=1, help="processes that read audio (default: %(default)s)")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="(default: %(default)s)"
    )
    args = parser.parse_args(argv)
    fused = args.lm or args.hotwords
    if args.modes is None:  # the greedy search hears neither
        args.modes = [mode for mode in DECODING_MODES if not (fused and mode == "ctc_greedy_search")]
    elif fused and "ctc_greedy_search" in args.modes:
        parser.error("ctc_greedy_search hears neither --lm nor --hotwords: leave it out of --modes")
    if args.left_chunks < -1:
        parser.error("--left-chunks are -1, for all, or more")
    if args.num_workers < 0:
        parser.error("--num-workers must not be negative")
    if args.lm is None and not (args.lm_weights is args.lm_weight is args.word_bonus is None):
        parser.error("--lm-weights, --lm-weight and --word-bonus need --lm")
    if args.calibration and not args.words:
        parser.error("--calibration is of the confidences of --words")
    return args


def _options(args: argparse.Namespace, config: ExperimentConfig) -> RecognitionOptions:
    from wenet_lite.config import from_dict
    from wenet_lite.decoding.recognition_options import RecognitionOptions
    from wenet_lite.errors import ConfigError

    encoder = config.model.encoder
    if (args.chunk_size > 0 or args.streaming) and not encoder.streams:
        asked = "--streaming" if args.streaming else "--chunk-size"
        raise ConfigError(f"was trained on whole utterances; {asked} needs use_dynamic_chunk", path=args.exp_dir)
    chunk_size = args.chunk_size if args.chunk_size > 0 else encoder.static_chunk_size or -1
    if args.streaming and chunk_size < 1:
        chunk_size = encoder.streaming_chunk_size
    if chunk_size < 1 and args.left_chunks != -1:
        raise ConfigError("whole utterances have no chunks of history", cure="give --chunk-size with --left-chunks")
    names = ("beam_size", "ctc_weight", "length_penalty", "reverse_weight", "joint_ctc_weight", "blank_penalty")
    return from_dict(
        RecognitionOptions,
        {
            "modes": args.modes,
            "decoding": {
                **{name: getattr(args, name) for name in (*names, "hotword_score")},
                **_lm_weights(args),
            },
            "lm": args.lm is not None,
            "hotwords": args.hotwords is not None,
            "chunk_size": chunk_size,
            "num_left_chunks": args.left_chunks,
            "streaming": args.streaming,
            "dtype": args.dtype,
            "max_segment_seconds": args.max_segment_seconds,
            "max_frames": args.max_frames,
            "words": bool(args.words),
            "timing": {"lag_ms": args.lag_ms},
        },
    )


def _lm_weights(args: argparse.Namespace) -> dict[str, float]:
    """What was given, else what was tuned; the defaults where there is neither."""
    from wenet_lite.decoding.fusion_tuning import FusionWeights

    tuned = FusionWeights.read(args.lm_weights) if args.lm_weights else None
    found = {}
    for name in ("lm_weight", "word_bonus"):
        if getattr(args, name) is not None:
            found[name] = getattr(args, name)
        elif tuned is not None:
            found[name] = getattr(tuned, name)
    return found


if __name__ == "__main__":
    raise SystemExit(command.run(main))
