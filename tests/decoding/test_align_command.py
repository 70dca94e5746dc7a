"""`align`: every utterance of a list is timed or told why not."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy import Toy

from wenet_lite.bin import align


def test_every_utterance_is_aligned_or_listed_with_its_reason(
    toy: Toy,
    toy_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = [json.loads(line) for line in (toy.folder / "dev/data.list").read_text().splitlines()]
    lines[0]["txt"] = "DO RE " * 100
    lines[1]["wav"] = str(tmp_path / "none.wav")
    lines[2]["txt"] = ""
    soundfile.write(tmp_path / "short.wav", np.zeros(400), 16000)
    lines[3].update(wav=str(tmp_path / "short.wav"), duration=0.025, num_samples=400)
    data, output = tmp_path / "data.list", tmp_path / "words"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["--exp-dir", toy_model, "--checkpoint", toy_model / "avg_2.pt", "--data", data, "--output", output]
    with caplog.at_level(logging.INFO):
        formats = ["--format", "ctm", "json", "textgrid", "--device", "cpu"]
        assert align.main([*map(str, arguments), *formats]) == 0
    unaligned = dict(line.split("\t") for line in (output / "unaligned.tsv").read_text().splitlines())
    assert set(unaligned) == {lines[i]["key"] for i in (0, 1, 3)}
    assert unaligned[lines[0]["key"]].startswith("needs ") and unaligned[lines[3]["key"]].endswith("has 0")
    assert "none.wav" in unaligned[lines[1]["key"]]
    assert all(f"{key} is not aligned: {reason}" in caplog.text for key, reason in unaligned.items())
    aligned = [json.loads(line) for line in (output / "words.jsonl").read_text().splitlines()]
    texts = {line["key"]: line["txt"] for line in (lines[2], *lines[4:])}
    assert {each["key"]: each["text"] for each in aligned} == texts
    assert {path.stem for path in (output / "textgrid").iterdir()} == set(texts)
    assert len((output / "words.ctm").read_text().splitlines()) == sum(len(text.split()) for text in texts.values())
    ranking = [line.split("\t")[0] for line in (output / "ranking.tsv").read_text().splitlines()]
    assert sorted(ranking) == sorted(texts)
    suspicious = (output / "suspicious.tsv").read_text().splitlines()
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == [line.split("\t")[0] for line in suspicious]
    assert [line.split("\t")[0] for line in suspicious] == ranking[: len(suspicious)]
