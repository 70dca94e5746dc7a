"""All benchmarks are one command."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ABLATION = ROOT / "benchmarks/ablation.py"
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


def test_the_ablation_tables_what_was_decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ABLATION.parent))
    ablation = runpy.run_path(str(ABLATION))["error_rates"].__globals__
    monkeypatch.setitem(ablation, "RECIPE", tmp_path)
    said = {"data/dev/text": "a ONE TWO\nb THREE FOUR\n"}
    for name, greedy in (("ctc", "a ONE\nb FOUR\n"), ("attention", "a ONE TWO\nb FOUR\n")):
        said[f"exp/ablation_{name}/decode_dev/ctc_greedy_search/text"] = greedy
        said[f"exp/ablation_{name}/train.yaml"] = "text: {}\n"
    for path, text in said.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert ablation["error_rates"]("ctc", "dev", None) == ["50.00 (50.00 to 50.00)", "-", "-", "-", "-"]
    found = ablation["error_rates"]("attention", "dev", "ctc")
    assert found == ["25.00 (0.00 to 50.00)", "-", "-", "-", "-25.00 (-50.00 to 0.00)"]


@pytest.mark.slow
def test_rows_come_with_what_was_seen(tmp_path: Path) -> None:
    pytest.importorskip("torchaudio")
    run = subprocess.run([*RUN_ALL, "--only", "peer_alignment"], capture_output=True, text=True)
    row = r"^\| alignment of .* against torchaudio's \| 1x \| [\d.]+x \(\d+ against \d+ ms\) \| (yes|NO) \|$"
    found = re.search(row, run.stdout, flags=re.MULTILINE)
    assert found is not None, run.stderr
    assert run.returncode == (0 if found[1] == "yes" else 1)
