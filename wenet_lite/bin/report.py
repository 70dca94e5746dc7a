"""Print the results of a run as a table, and write them to RESULTS.md beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.scoring.report import collect_results, markdown_table


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite report`."""
    parser = command.Parser(prog="report", description=__doc__)
    parser.add_argument("--exp-dir", required=True, type=Path, help="run whose decode_*/*/wer are read")
    args = parser.parse_args(argv)
    table = markdown_table(collect_results(args.exp_dir))
    temporary = args.exp_dir / "RESULTS.md.tmp"
    temporary.write_text(f"# {args.exp_dir.name}\n\n{table}", encoding="utf-8")
    temporary.replace(args.exp_dir / "RESULTS.md")
    print(table, end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
