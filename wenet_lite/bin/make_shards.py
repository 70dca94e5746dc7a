"""Pack a Kaldi data directory into tar shards with their indices, and list them; or verify such a list."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from wenet_lite.bin import command
from wenet_lite.bin.make_list import report_failed, usable_utterances
from wenet_lite.data.indexing import verify_shards
from wenet_lite.data.shards import ShardOptions, write_shard_list, write_shards
from wenet_lite.text.tokenizer import load_tokenizer

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite make_shards`."""
    defaults = ShardOptions()
    parser = command.Parser(prog="make_shards", description=__doc__)
    parser.add_argument("--data-dir", help="Kaldi data directory with wav.scp, text and utt2spk")
    parser.add_argument("--lang-dir", help="its text rules are applied, its units counted")
    parser.add_argument("--output-dir", help="receives the tars and shards.list")
    parser.add_argument("--verify", metavar="LIST", help="instead: compare the shards of a list with their indices")
    parser.add_argument("--utterances-per-shard", type=int, default=defaults.utterances_per_shard, help="(%(default)s)")
    parser.add_argument("--audio-format", choices=["flac", "wav"], default=defaults.audio_format, help="(%(default)s)")
    parser.add_argument("--sample-rate", type=int, default=0, help="Hz to resample to; 0: as it is (%(default)s)")
    parser.add_argument("--max-unknown", type=float, default=0.01, help="part of units that may be <unk> (%(default)s)")
    parser.add_argument("--max-bad-fraction", type=float, default=0.01, help="unusable utterances (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that wav.scp has for audio")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    if args.verify:
        _LOG.info("%s: %d shards are what their indices describe", args.verify, verify_shards(args.verify, args.jobs))
        return 0
    if not (args.data_dir and args.lang_dir and args.output_dir):
        parser.error("--data-dir, --lang-dir and --output-dir are required, or --verify")
    if args.utterances_per_shard < 1:
        parser.error("--utterances-per-shard must be at least 1")
    utterances = usable_utterances(args, load_tokenizer(args.lang_dir))
    options = ShardOptions(args.utterances_per_shard, args.audio_format, args.sample_rate)
    shard_list = os.path.join(args.output_dir, "shards.list")
    if os.path.exists(shard_list):  # it must not list tars that are being replaced
        os.unlink(shard_list)
    shards, failed = write_shards(utterances, args.output_dir, options, args.jobs)
    report_failed(args.data_dir, len(utterances), failed, args.max_bad_fraction)
    write_shard_list(shards, shard_list)
    _LOG.info("%s: %d utterances in %d shards", shard_list, len(utterances) - len(failed), len(shards))
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
