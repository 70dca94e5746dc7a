"""run.sh explains itself, and says in one line what is wrong and what to do."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recipe_copy import environment, run_recipe

from wenet_lite.config import load_yaml
from wenet_lite.features.cmvn import read_cmvn
from wenet_lite.text.rules import load_rules


def complaint(recipe: Path, *options: str, **arguments: object) -> str:
    """The one line on standard error of a call that must fail with status 1."""
    result = run_recipe(recipe, *options, **arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def test_help_explains_every_option_with_its_default(recipe: Path) -> None:
    script = (recipe / "run.sh").read_text()
    lines = script[script.index("\nstage=") : script.index("help_message=")].split("\n")
    options = dict(line.split("=", 1) for line in lines if "=" in line)
    result = run_recipe(recipe, "--help")
    assert (result.returncode, result.stderr) == (0, "") and len(options) > 12
    for name, default in options.items():
        (explanation,) = re.findall(rf"^  --{name.replace('_', '-')} .*", result.stdout, re.MULTILINE)
        shown = default.strip('"').replace("$cores", str(len(os.sched_getaffinity(0))))
        assert f"[{shown}" in explanation or (not shown and "[" in explanation), explanation


WRONG_OPTIONS = [
    (["--corpus", "mini2"], "run.sh: unknown corpus 'mini2'; known: clean100 full960 mini smoke"),
    (["--corpus", ""], "run.sh: unknown corpus ''; known: clean100 full960 mini smoke"),
    (["--stage", "x"], "run.sh: --stage takes a whole number from 0, not 'x'"),
    (["--stage", "9"], "run.sh: there is no stage 9; the last is 8"),
    (["--stage", "3", "--stop-stage", "2"], "run.sh: --stop-stage 2 comes before --stage 3"),
    (["--nproc", "0"], "run.sh: --nproc takes a whole number from 1, not '0'"),
    (["--num-gpus", "two"], "run.sh: --num-gpus takes a whole number from -1, not 'two'"),
    (["--average-num", "a[$(touch hacked)]"], "--average-num takes a whole number from 1, not 'a[$(touch hacked)]'"),
    (["--train-config", "none.yaml"], "run.sh: no such configuration: {cwd}/none.yaml"),
    (["--init-from", "none.pt"], "run.sh: no such checkpoint: {cwd}/none.pt"),
    (["--init-partial", "yes"], 'expected "true" or "false": --init-partial yes'),
    (["--stage", "3", "again"], "run.sh: unexpected argument 'again' (see --help)"),
    (["--stage=3"], "options to scripts must be of the form --name value, got '--stage=3'"),
    (["--stagee", "3"], "invalid option --stagee"),
    (["--corpus", "mini", "--stage"], "option --stage needs a value"),
]


@pytest.mark.parametrize(("options", "line"), WRONG_OPTIONS)
def test_a_wrong_option_is_one_line_and_nothing_is_made(recipe: Path, options: list[str], line: str) -> None:
    assert complaint(recipe, *options).endswith(line.format(cwd=recipe))
    assert not (recipe / "exp").exists() and not (recipe / "data").exists() and not (recipe / "hacked").exists()


@pytest.mark.parametrize("options", [["--help"], ["--corpus", "mini2"], ["--stagee", "3"]])
def test_help_and_wrong_options_come_before_any_set_up(recipe: Path, options: list[str]) -> None:
    """With a python3 that would fail at once, the run.sh of the project's root answers all the same."""
    folder = recipe / "bin"
    folder.mkdir()
    (folder / "python3").write_text("#!/bin/sh\necho python was called >&2\nexit 1\n")
    (folder / "python3").chmod(0o755)
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = ["bash", str(recipe.parents[1] / "run.sh"), *options]
    result = subprocess.run(command, env=path, capture_output=True, text=True, check=False)
    assert result.returncode == (0 if options == ["--help"] else 1)
    assert "python was called" not in result.stderr and "setup:" not in result.stderr


def test_without_set_up_missing_packages_are_told(recipe: Path) -> None:
    requirements = recipe.parents[1] / "requirements.txt"
    requirements.unlink()
    requirements.write_text("no-such-package==1.0\n")
    result = run_recipe(recipe, "--stage", "2", "--stop-stage", "2")
    warning, line = result.stderr.splitlines()
    assert warning == "run.sh: warning: python3 lacks no-such-package==1.0 (run.sh in the project's root installs it)"
    assert line.startswith("run.sh: stage 2 needs ")


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (1, "needs {datadir}/LibriSpeech/smoke-dev, which stage 0 makes"),
        (2, "needs data/smoke_train/wav.scp, which stage 1 makes"),
        (3, "needs data/smoke_train/text, which stage 1 makes"),
        (4, "needs data/smoke_train/global_cmvn, which stage 2 makes"),
        (5, "needs exp/smoke_smoke/checkpoints, which stage 4 makes"),
        (6, "needs exp/smoke_smoke/avg_9.pt, which stage 5 makes"),
        (7, "needs exp/smoke_smoke/avg_9.pt, which stage 5 makes"),
        (8, "needs exp/smoke_smoke/model/model.yaml, which stage 7 makes"),
    ],
)
def test_a_stage_says_which_stage_makes_what_is_missing(recipe: Path, tmp_path: Path, stage: int, line: str) -> None:
    """The command that it gives makes just that, with the options of this call."""
    datadir = tmp_path / "my corpus"
    common = ("--datadir", str(datadir), "--average_num", "9")
    said = complaint(recipe, "--stage", str(stage), *common, "--stop_stage", "8")
    maker = line.split()[-2]
    options = f"--datadir {str(datadir).replace(' ', chr(92) + ' ')} --average_num 9"
    cure = f"bash run.sh --stage {maker} --stop-stage {maker} {options}"
    assert said == f"run.sh: stage {stage} {line.format(datadir=datadir)}: {cure}"
    assert not (recipe / "exp").exists() and not (recipe / "data").exists()


def test_stage_4_of_mini_says_what_the_manual_shows(recipe: Path) -> None:
    (recipe / "data/train_clean_5").mkdir(parents=True)
    (recipe / "data/train_clean_5/global_cmvn").touch()
    assert complaint(recipe, "--stage", "4", "--corpus", "mini") == (
        "run.sh: stage 4 needs data/train_clean_5/data.list, which stage 3 makes: "
        "bash run.sh --stage 3 --stop-stage 3 --corpus mini"
    )


def test_paths_are_relative_to_where_the_caller_stands(recipe: Path, tmp_path: Path) -> None:
    options = ("--stage", "1", "--stop-stage", "1", "--datadir", "here")
    assert f"needs {tmp_path}/here/LibriSpeech/" in complaint(recipe, *options, cwd=tmp_path)
    (tmp_path / "options.sh").write_text("corpus=mini\n")
    assert "dev-clean-2" in complaint(recipe, *options, "--config", "options.sh", cwd=tmp_path)


def fill_for_training(recipe: Path) -> None:
    """What stage 4 needs, in empty files, at which training stops."""
    lists = ("smoke_train/global_cmvn", "smoke_train/data.list", "smoke_dev/data.list")
    for name in (*lists, "lang_smoke_train_bpe29/units.txt"):
        (recipe / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (recipe / "data" / name).touch()


def test_the_weights_to_start_from_are_handed_to_training(recipe: Path, tmp_path: Path) -> None:
    fill_for_training(recipe)
    (tmp_path / "base.pt").touch()
    options = ("--stage", "4", "--stop-stage", "4", "--num-gpus", "0", "--nproc", "1", "--init-from", "base.pt")
    complaint(recipe, *options, "--init-partial", "true", "--allow-config-change", "true", cwd=tmp_path)
    command = (recipe / "exp/smoke_smoke/log/stage4.log").read_text().splitlines()[0]
    assert f" --init-from {tmp_path}/base.pt --init-partial --allow-config-change" in command


def test_the_seed_is_the_configurations_unless_one_is_given(recipe: Path) -> None:
    fill_for_training(recipe)
    options = ("--stage", "4", "--stop-stage", "4", "--num-gpus", "0", "--nproc", "1", "--set", "training.max_epochs=3")
    for seed, settings in (([], "--set"), (["--seed", "5"], "--set seed=5 --set")):
        complaint(recipe, *options, *seed)
        command = (recipe / "exp/smoke_smoke/log/stage4.log").read_text().splitlines()[0]
        assert f"/smoke_smoke {settings} training.max_epochs=3" in command
    assert complaint(recipe, *options, "--seed", "-1").endswith("--seed takes a whole number from 0, not '-1'")


def test_settings_reach_statistics_units_and_training(recipe: Path) -> None:
    """Those of training alone are no mistake in the stages before it."""
    for name, frequency in (("smoke_train", 500), ("smoke_dev", 700)):
        folder = recipe / "data" / name
        folder.mkdir(parents=True)
        soundfile.write(folder / "a.wav", np.sin(np.arange(16000) * frequency / 2500), 16000)
        tables = {"wav.scp": f"a-1 {folder}/a.wav", "text": "a-1 GO ON", "utt2spk": "a-1 a", "spk2utt": "a a-1"}
        for table, line in tables.items():
            (folder / table).write_text(f"{line}\n")
    (recipe / "data/smoke_test").symlink_to("smoke_dev")
    settings = "text.case=lower features.num_mel_bins=40 training.max_updates=1 batch.micro_batches_per_update=1"
    options = ("--stage", "2", "--stop-stage", "4", "--num-gpus", "0", "--nproc", "1", "--nbpe", "8", "--jobs", "1")
    result = run_recipe(recipe, *options, "--set", settings)
    assert result.returncode == 0, result.stderr
    assert len(read_cmvn(recipe / "data/smoke_train/global_cmvn").total) == 40
    assert load_rules(recipe / "data/lang_smoke_train_bpe8").case == "lower"
    trained = load_yaml(recipe / "exp/smoke_smoke/train.yaml")
    assert (trained["text"]["case"], trained["features"]["num_mel_bins"]) == ("lower", 40)


def test_gpus_that_are_not_there_end_a_stage_before_it_makes_anything(recipe: Path) -> None:
    for name in ("exp/smoke_smoke/model/model.yaml", "data/smoke_dev/data.list"):
        (recipe / name).parent.mkdir(parents=True, exist_ok=True)
        (recipe / name).touch()
    said = complaint(recipe, "--stage", "8", "--stop-stage", "8", "--num-gpus", "999")
    assert said.startswith("run.sh: --num-gpus 999: ")
    assert not (recipe / "exp/smoke_smoke/model/lm").exists()


def test_the_root_script_hands_its_options_on(recipe: Path, tmp_path: Path) -> None:
    """From any folder, with nothing to install."""
    command = ["bash", str(recipe.parents[1] / "run.sh"), "--stage", "1", "--datadir", "here"]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        f"run.sh: stage 1 needs {tmp_path}/here/LibriSpeech/smoke-dev, which stage 0 makes: "
        "bash run.sh --stage 0 --stop-stage 0 --datadir here\n"
    )


def test_the_shells_search_path_for_folders_is_not_followed(recipe: Path, tmp_path: Path) -> None:
    """With CDPATH, cd prints where it went, and may go to a folder of the same name elsewhere."""
    project = recipe.parents[1]
    (tmp_path / "other/egs/librispeech").mkdir(parents=True)
    command = ["bash", "egs/librispeech/run.sh", "--corpus", "none"]
    for folders in (".", str(tmp_path / "other")):
        variables = {**environment(), "CDPATH": folders}
        result = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)
        assert result.stderr == "run.sh: unknown corpus 'none'; known: clean100 full960 mini smoke\n"


def test_stand_ins_are_taken_where_the_official_dev_set_is_absent(recipe: Path, tmp_path: Path) -> None:
    for part in ("train-clean-5", "dev-mini"):
        (tmp_path / "LibriSpeech" / part).mkdir(parents=True)
    options = ("--corpus", "mini", "--stage", "1", "--stop-stage", "1", "--datadir", str(tmp_path))
    assert "LibriSpeech/test-other-mini, which" in complaint(recipe, *options)
    shutil.rmtree(tmp_path / "LibriSpeech" / "dev-mini")
    assert "LibriSpeech/dev-clean-2, which" in complaint(recipe, *options)


def test_a_failing_command_fails_its_stage_and_is_in_the_log(recipe: Path, tmp_path: Path) -> None:
    part = tmp_path / "LibriSpeech/smoke-dev/1/1"
    part.mkdir(parents=True)
    (part / "1-1.trans.txt").write_text("1-1-0000\n")
    for other in ("smoke-train", "smoke-test"):
        (tmp_path / "LibriSpeech" / other).mkdir()
    options = ("--stage", "1", "--stop-stage", "1", "--datadir", str(tmp_path))
    said = complaint(recipe, *options)
    assert said.startswith(f"prepare_data: {part}/1-1.trans.txt:1: utterance '1-1-0000' has an empty")
    first, *rest, last = (recipe / "exp/smoke_smoke/log/stage1_smoke-dev.log").read_text().splitlines()
    assert first.startswith("# python3 local/prepare_data.py ") and last == "# exit status 1"
    assert said in rest
    assert not (recipe / "data").exists() or not list((recipe / "data").iterdir())
