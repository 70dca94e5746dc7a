"""Tell what the model of a configuration costs: parameters, operations, latency, memory of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite describe`."""
    parser = command.Parser(prog="describe", description=__doc__)
    parser.add_argument("config", type=Path, help="experiment YAML, such as conf/smoke.yaml, or model directory")
    parser.add_argument("--vocab-size", type=int, default=5002, help="units, special ones included (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    args = parser.parse_args(argv)

    from wenet_lite.experiment import build_model, read_experiment
    from wenet_lite.model.describe import model_costs
    from wenet_lite.runtime.model_dir import load_model_dir

    if args.config.is_dir():
        loaded = load_model_dir(args.config)
        costs = model_costs(loaded.model, loaded.fbank.filters.shape[1])
    else:
        config = read_experiment(args.config, args.set)
        costs = model_costs(build_model(config, args.vocab_size), config.features.num_mel_bins)
    context = costs.context
    for part, count in costs.parameters.items():
        print(f"{part:<24} {count / 1e6:10.3f} M parameters")
    print(f"{'used once exported':<24} {costs.used_parameters / 1e6:10.3f} M parameters")
    print(f"{'encoder and CTC':<24} {costs.encoder_flops / 1e9:10.3f} GFLOP a second of audio")
    print(f"{'encoder frame':<24} {context.frame_ms:10d} ms, and it looks ahead {context.front_end_ms} ms")
    if costs.chunk_size == 0:
        print(f"{'streaming':<24} {'no':>10}: the model looks at whole utterances")
        return 0
    chunk = f"chunk of {costs.chunk_size} frames"
    print(f"{chunk:<24} {context.chunk_ms:10d} ms, with {context.history_ms} ms of history in 4 left chunks")
    print(f"{'latency':<24} {context.latency_ms:10d} ms at most, until all audio of a chunk is there")
    print(f"{'state of a stream':<24} {costs.cache_bytes / 1024:10.0f} KiB in float32")
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
