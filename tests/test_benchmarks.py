"""All benchmarks are one command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN_ALL = (sys.executable, str(ROOT / "benchmarks/run_all.py"))


def test_a_benchmark_without_its_input_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    only = ("--only", "searches", "peer_streams", "soak")
    run = subprocess.run([*RUN_ALL, *only, "--model", "model", "--output", str(table)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert table.read_text() == run.stdout
    assert "* searches: not run, for want of --wenet\n" in run.stdout
    assert "* soak: not run, for want of --data\n" in run.stdout
    assert re.search(r"^\* versions: wenet_lite \w+.*, torch \d", run.stdout, flags=re.MULTILINE)


def test_a_benchmark_that_fails_is_named_and_tells_by_its_status(tmp_path: Path) -> None:
    run = subprocess.run(
        [*RUN_ALL, "--only", "start", "--model", str(tmp_path / "none")], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert re.search(
        r"^\* start: `python benchmarks/runtime.py --model .*: FAILED with exit status 1$", run.stdout, flags=re.M
    )


@pytest.mark.slow
def test_rows_come_with_what_was_seen(tmp_path: Path) -> None:
    pytest.importorskip("torchaudio")
    run = subprocess.run([*RUN_ALL, "--only", "peer_alignment"], capture_output=True, text=True)
    row = r"^\| alignment of .* against torchaudio's \| 1x \| [\d.]+x \(\d+ against \d+ ms\) \| (yes|NO) \|$"
    found = re.search(row, run.stdout, flags=re.MULTILINE)
    assert found is not None, run.stderr
    assert run.returncode == (0 if found[1] == "yes" else 1)
