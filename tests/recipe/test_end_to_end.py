"""The whole recipe in miniature: from synthesised speech to a streaming model."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from recipe_copy import copy_recipe, environment, run_recipe

SETTINGS = "training.max_epochs=3 training.log_interval=1 training.checkpoint_interval=2 batch.max_frames=6000"
MINIATURE = ("--smoke-hours", "0.1", "--average-num", "2", "--nproc", "2", "--set", SETTINGS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that ran all its stages; training was killed once on the way."""
    recipe = copy_recipe(tmp_path_factory.mktemp("end_to_end") / "project")
    result = run_recipe(recipe, *MINIATURE, "--stop-stage", "3")
    assert result.returncode == 0, result.stderr
    kill_training_midway(recipe)
    result = run_recipe(recipe, *MINIATURE, "--stage", "4", "--stop-stage", "8")
    assert result.returncode == 0, result.stderr
    (recipe / "stdout").write_text(result.stdout)
    return recipe


def kill_training_midway(recipe: Path) -> None:
    """Start stage 4 and kill the whole process tree once some updates are done."""
    command = ["bash", "run.sh", *MINIATURE, "--stage", "4", "--stop-stage", "4"]
    output = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=recipe, env=environment(), start_new_session=True, **output)
    deadline = time.monotonic() + 120
    while len(metrics(recipe)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, "training ended before it could be killed"
    for pid in processes_in(recipe):  # torchrun's workers are in process groups of their own
        os.kill(pid, signal.SIGKILL)
    process.wait()


def processes_in(folder: Path) -> list[int]:
    """Processes that work in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder:
                found.append(int(entry.parent.name))
        except OSError:  # another user's, or gone
            continue
    return found


def metrics(recipe: Path) -> list[dict]:
    path = recipe / "exp/smoke_smoke/metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def test_every_stage_leaves_what_it_promises(finished: Path) -> None:
    exp = finished / "exp/smoke_smoke"
    for name in ("wav.scp", "text", "utt2spk", "spk2utt", "utt2dur", "spk2gender", "data.list"):
        assert (finished / "data/smoke_test" / name).stat().st_size > 0
    for name in ("train.yaml", "metrics.jsonl", "avg_2.pt", "RESULTS.md", "model/model.yaml", "model/model.zip"):
        assert (exp / name).stat().st_size > 0
    for name in ("chunks.md", "chunks.jsonl", "chunks.png"):
        assert (exp / "chunks_smoke_test" / name).stat().st_size > 0
    for name in ("lm.arpa.gz", "weights.json"):
        assert (exp / "model/lm" / name).stat().st_size > 0
    assert (
        len(list(exp.glob("decode_smoke_test/*/wer"))) == len(list(exp.glob("decode_smoke_test/*/report.html"))) == 18
    )
    assert not list(finished.rglob("*.tmp"))


def test_the_table_has_a_row_for_each_mode_and_chunk(finished: Path) -> None:
    table = (finished / "exp/smoke_smoke/RESULTS.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| smoke_test")]
    assert len(rows) == 18 and sum("640 ms" in row for row in rows) == 9 and sum(" + lm " in row for row in rows) == 8
    assert table.split("\n\n", 1)[1].strip() in (finished / "stdout").read_text()


def test_a_killed_training_went_on_to_the_last_update(finished: Path) -> None:
    updates = [record["update"] for record in metrics(finished) if record["kind"] == "train"]
    assert updates == list(range(1, len(updates) + 1))
    assert "going on from update" in (finished / "exp/smoke_smoke/log/stage4.log").read_text()


def test_a_stage_can_be_run_again(finished: Path) -> None:
    text = finished / "exp/smoke_smoke/decode_smoke_test/attention_rescoring/text"
    before = text.read_bytes(), text.with_name("wer").read_bytes()
    text.unlink()
    shutil.rmtree(finished / "data/lang_smoke_train_bpe29")  # the run has its own units and text rules
    options = ("--stage", "6", "--stop-stage", "6", "--decode-modes", "attention_rescoring", "--decode-chunks", "-1")
    result = run_recipe(finished, *MINIATURE, *options)
    assert result.returncode == 0, result.stderr
    assert (text.read_bytes(), text.with_name("wer").read_bytes()) == before
    lm = (finished / "exp/smoke_smoke/log/stage8_train.log").read_text()
    assert " --rules exp/smoke_smoke " in lm.splitlines()[0]
    for stage in ("1", "2", "3", "5"):
        result = run_recipe(finished, *MINIATURE, "--stage", stage, "--stop-stage", stage)
        assert result.returncode == 0, result.stderr


def test_the_last_stage_shows_a_stream(finished: Path) -> None:
    shown = (finished / "stdout").read_text()
    assert "transcribe" in shown and "--streaming" in shown


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["smoke_3m", "smoke_3m_moe", "whole"])
def test_each_kind_of_model_goes_through_the_last_stages(finished: Path, kind: str) -> None:
    settings = f"{SETTINGS} training.max_epochs=1"
    if kind == "whole":
        settings += " model.encoder.use_dynamic_chunk=false model.encoder.causal=false"
    config = finished.parents[1] / "conf" / f"{'smoke' if kind == 'whole' else kind}.yaml"
    options = ("--stage", "4", "--train-config", str(config), "--exp-name", kind, "--average-num", "1")
    result = run_recipe(finished, *MINIATURE, *options, "--set", settings, "--decode-modes", "attention_rescoring")
    assert result.returncode == 0, result.stderr
    rows = (finished / "exp" / kind / "RESULTS.md").read_text().count("attention_rescoring")
    assert rows == (1 if kind == "whole" else 2)
    assert ("no decoding in chunks" in result.stdout) == (kind == "whole")
    assert (finished / "exp" / kind / "model/model.zip").exists()


def test_logs_hold_command_and_exit_status(finished: Path) -> None:
    logs = list((finished / "exp/smoke_smoke/log").glob("*.log"))
    assert len(logs) > 10
    for log in logs:
        lines = log.read_text().splitlines()
        assert lines[0].startswith("# ") and lines[-1] == "# exit status 0"


def test_stage_3_packs_shards_on_demand(finished: Path) -> None:
    result = run_recipe(finished, *MINIATURE, "--data-type", "shard", "--stage", "3", "--stop-stage", "3")
    assert result.returncode == 0, result.stderr
    for name in ("smoke_train", "smoke_dev", "smoke_test"):
        (shard,) = (finished / "data" / name / "shards/shards.list").read_text().splitlines()
        assert Path(shard).is_file() and Path(shard + ".index").is_file()
    result = run_recipe(finished, "--data-type", "tar")
    assert result.returncode == 1 and "--data-type takes raw or shard, not 'tar'" in result.stderr
