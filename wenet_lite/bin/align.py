"""Find the word times of known transcripts, and the transcripts that do not fit their audio."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_checkpoint, add_list

_LOG = logging.getLogger(__name__)
_SHOWN = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite align`."""
    from wenet_lite.decoding.word_files import WORD_FORMATS
    from wenet_lite.decoding.words import WordTiming

    defaults = WordTiming()
    parser = command.Parser(prog="align", description=__doc__)
    add_checkpoint(parser)
    add_list(parser, "data.list with the transcripts")
    parser.add_argument("--output", required=True, type=Path, help="folder for word times and lists")
    parser.add_argument("--format", nargs="+", choices=WORD_FORMATS, default=["ctm"], help="(default: ctm)")
    parser.add_argument("--lag-ms", type=int, default=defaults.lag_ms, help="of peaks behind sounds (%(default)s)")
    args = parser.parse_args(argv)

    from wenet_lite.config import from_dict
    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.decoding.transcript_alignment import TranscriptAligner, write_alignments
    from wenet_lite.experiment import load_run, read_experiment
    from wenet_lite.transfer import choose_device

    timing = from_dict(WordTiming, {"lag_ms": args.lag_ms})
    config = read_experiment(args.exp_dir / "train.yaml")
    device = choose_device(args.device, 0)
    loaded = load_run(config, args.exp_dir, args.checkpoint, device)
    chunk_size = config.model.encoder.static_chunk_size or -1
    aligner = TranscriptAligner(loaded.model, loaded.fbank, loaded.tokenizer, device, chunk_size, timing)
    result = aligner(read_manifest(args.data, allow_pipes=args.allow_pipes))
    write_alignments(result, tuple(args.format), args.output)
    suspicious = result.suspicious
    for each in suspicious[:_SHOWN]:
        print(f"{each.key} {each.score:.2f} {each.reason}")
    if len(suspicious) > _SHOWN:
        print(f"... and {len(suspicious) - _SHOWN} more in {args.output / 'suspicious.tsv'}")
    for key, reason in result.unaligned:
        _LOG.warning("utterance %s is not aligned: %s", key, reason)
    counts = (len(result.utterances), len(suspicious), len(result.unaligned))
    _LOG.info("%s: %d utterances aligned, %d of them suspicious; %d not aligned", args.output, *counts)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
