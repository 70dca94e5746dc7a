"""run.sh explains itself, and says in one line what is wrong and what to do."""

import shutil
from pathlib import Path

import pytest
from recipe_copy import run_recipe


def complaint(recipe: Path, *options: str, **arguments: object) -> str:
    """The one line on standard error of a call that must fail with status 1."""
    result = run_recipe(recipe, *options, **arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def test_help_explains_every_option_with_its_default(recipe: Path) -> None:
    script = (recipe / "run.sh").read_text()
    options = script[script.index("\nstage=") : script.index("help_message=")].split("\n")
    names = [line.split("=")[0].replace("_", "-") for line in options if "=" in line]
    result = run_recipe(recipe, "--help")
    assert result.returncode == 0 and len(names) > 12
    for name in names:
        assert f"--{name} " in result.stdout, name
    assert "(smoke)" in result.stdout and "(777)" in result.stdout


@pytest.mark.parametrize(
    "options, line",
    [
        (["--corpus", "mini2"], "run.sh: unknown corpus 'mini2'; known: clean100 full960 mini smoke"),
        (["--stage", "x"], "run.sh: --stage and --stop-stage take a number from 0 to 7"),
        (["--train-config", "none.yaml"], "no such configuration"),
        (["--stage=3"], "options to scripts must be of the form --name value, got '--stage=3'"),
        (["--stagee", "3"], "invalid option --stagee"),
        (["--stage"], "--stage"),
    ],
)
def test_a_wrong_option_is_one_line(recipe: Path, options: list[str], line: str) -> None:
    assert line in complaint(recipe, *options)


@pytest.mark.parametrize(
    "stage, line",
    [
        (1, "needs {datadir}/LibriSpeech/smoke-dev, which stage 0 makes"),
        (2, "needs data/smoke_train/wav.scp, which stage 1 makes"),
        (3, "needs data/smoke_train/text, which stage 1 makes"),
        (4, "needs data/smoke_train/global_cmvn, which stage 2 makes"),
        (5, "needs exp/smoke_smoke/checkpoints, which stage 4 makes"),
        (6, "needs exp/smoke_smoke/avg_3.pt, which stage 5 makes"),
        (7, "needs exp/smoke_smoke/avg_3.pt, which stage 5 makes"),
    ],
)
def test_a_stage_says_which_stage_makes_what_is_missing(recipe: Path, tmp_path: Path, stage: int, line: str) -> None:
    said = complaint(recipe, "--stage", str(stage), "--stop-stage", str(stage), "--datadir", str(tmp_path / "corpus"))
    maker = line.split()[-2]
    expected = f"run.sh: stage {stage} {line.format(datadir=tmp_path / 'corpus')}: "
    assert said == f"{expected}bash run.sh --stage {maker} --stop-stage {maker} --corpus smoke"


def test_datadir_is_relative_to_where_the_caller_stands(recipe: Path, tmp_path: Path) -> None:
    options = ("--stage", "1", "--stop-stage", "1", "--datadir", "here")
    assert f"needs {tmp_path}/here/LibriSpeech/" in complaint(recipe, *options, cwd=tmp_path)


def test_stand_ins_are_taken_where_the_official_dev_set_is_absent(recipe: Path, tmp_path: Path) -> None:
    for part in ("train-clean-5", "dev-mini", "test-other-mini"):
        (tmp_path / "LibriSpeech" / part).mkdir(parents=True)
    options = ("--corpus", "mini", "--stage", "1", "--stop-stage", "1", "--datadir", str(tmp_path))
    assert "dev-mini" in complaint(recipe, *options)
    (tmp_path / "LibriSpeech" / "dev-clean-2").mkdir()
    shutil.rmtree(tmp_path / "LibriSpeech" / "dev-mini")
    assert "dev-clean-2" in complaint(recipe, *options)


def test_a_failing_command_fails_its_stage_and_is_in_the_log(recipe: Path, tmp_path: Path) -> None:
    part = tmp_path / "LibriSpeech/smoke-dev/1/1"
    part.mkdir(parents=True)
    (part / "1-1.trans.txt").write_text("1-1-0000\n")
    options = ("--stage", "1", "--stop-stage", "1", "--datadir", str(tmp_path))
    assert complaint(recipe, *options).startswith(
        f"prepare_data: {part}/1-1.trans.txt:1: utterance '1-1-0000' has an empty"
    )
    first, *_, last = (recipe / "exp/smoke_smoke/log/stage1_smoke-dev.log").read_text().splitlines()
    assert first.startswith("# python3 local/prepare_data.py ") and last == "# exit status 1"
    assert not (recipe / "data").exists() or not list((recipe / "data").iterdir())
