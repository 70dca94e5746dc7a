"""The table of a run holds what scoring and decoding left."""

import json
from pathlib import Path

import pytest

from wenet_lite.bin import report
from wenet_lite.errors import DataError
from wenet_lite.scoring.report import collect_results, markdown_table


def leave_results(exp: Path, name: str, mode: str, chunk: int, wer: str) -> None:
    folder = exp / f"decode_{name}" / (mode if chunk < 0 else f"{mode}_chunk{chunk}_left-1")
    folder.mkdir(parents=True)
    (folder / "wer").write_text(wer + "\n%SER 50.00 [ 1 / 2 ]\nScored 2 sentences, 0 not present in hyp.\n")
    (folder / "decode.json").write_text(json.dumps({"mode": mode, "chunk_size": chunk, "real_time_factor": 0.0123}))


def test_rows_are_sorted_and_figures_are_those_of_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_results(tmp_path, "b", "attention_rescoring", 16, "%WER 25.00 [ 5 / 20, 1 ins, 2 del, 2 sub ]")
    leave_results(tmp_path, "b", "attention_rescoring", -1, "%WER 10.00 [ 2 / 20, 0 ins, 1 del, 1 sub ]")
    leave_results(tmp_path, "b", "ctc_greedy_search", -1, "%WER 30.00 [ 6 / 20, 3 ins, 2 del, 1 sub ] [PARTIAL]")
    rows = collect_results(tmp_path)
    assert [(row.mode, row.chunk_size, row.wer) for row in rows] == [
        ("ctc_greedy_search", -1, 30.0),
        ("attention_rescoring", -1, 10.0),
        ("attention_rescoring", 16, 25.0),
    ]
    assert (rows[2].insertions, rows[2].deletions, rows[2].substitutions, rows[2].num_words) == (1, 2, 2, 20)
    assert report.main(["--exp-dir", str(tmp_path)]) == 0
    table = markdown_table(rows)
    assert capsys.readouterr().out == table
    assert (tmp_path / "RESULTS.md").read_text().endswith(table)
    assert "640 ms" in table and len({len(line) for line in table.splitlines()}) == 1


def test_a_run_without_results_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stage 6 makes them"):
        collect_results(tmp_path)
