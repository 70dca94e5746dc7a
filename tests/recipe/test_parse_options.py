"""Options of the shell scripts: `tools/parse_options.sh` does as Kaldi's does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PARSE_OPTIONS = Path(__file__).resolve().parents[2] / "tools" / "parse_options.sh"

SCRIPT = """
stage=0
stop_stage=7
flag=false
name="a b"
empty=
cmd=run.pl
help_message="Usage: script [options]\\n  --stage N  where to begin"
. {parse_options}
printf '%s|' "$stage" "$stop_stage" "$flag" "$name" "$empty" "$cmd" "$@"
"""


@pytest.fixture(params=["set -euo pipefail", "set +eu"])
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A script that prints its options and what is left, run in strict mode and in sloppy mode."""
    path = tmp_path / "script.sh"
    path.write_text(f"{request.param}\n{SCRIPT.format(parse_options=PARSE_OPTIONS)}")
    return path


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", script.name, *arguments], check=False, cwd=script.parent, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "0|7|false|a b||run.pl|"),
        (["--stage", "3", "--stop-stage", "4"], "3|4|false|a b||run.pl|"),
        (["--stop_stage", "4"], "0|4|false|a b||run.pl|"),
        (["--stage", "3", "--stage", "5"], "5|7|false|a b||run.pl|"),
        (["--flag", "true"], "0|7|true|a b||run.pl|"),
        (["--name", "x  'y' $HOME `z` \"w\" \\n"], "0|7|false|x  'y' $HOME `z` \"w\" \\n||run.pl|"),
        (["--name", ""], "0|7|false|||run.pl|"),
        (["--name", "-1", "--empty", "--beam=3 x"], "0|7|false|-1|--beam=3 x|run.pl|"),
        (["--cmd", "queue.pl -l mem=1G"], "0|7|false|a b||queue.pl -l mem=1G|"),
        (["--stage", "1", "a", "--stop-stage", "2"], "1|7|false|a b||run.pl|a|--stop-stage|2|"),
        (["--stage", "1", "", "--stop-stage", "2"], "1|7|false|a b||run.pl||--stop-stage|2|"),
        (["-x", "--stage", "1"], "0|7|false|a b||run.pl|-x|--stage|1|"),
    ],
)
def test_options_set_variables_up_to_the_first_argument(script: Path, arguments: list[str], expected: str) -> None:
    result = run(script, *arguments)
    assert (result.stdout, result.stderr, result.returncode) == (expected, "", 0)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--stage=3"], "options to scripts must be of the form --name value, got '--stage=3'"),
        (["--nope", "3"], "invalid option --nope"),
        (["--nope"], "invalid option --nope"),
        (["--", "3"], "invalid option --"),
        (["--a.b", "3"], "invalid option --a.b"),
        (["--x[$(touch hacked)]", "3"], "invalid option --x[$(touch hacked)]"),
        (["--stage"], "option --stage needs a value"),
        (["--stop-stage", "3", "--stage"], "option --stage needs a value"),
        (["--stage", "--stop-stage", "3"], "option --stage needs a value"),
        (["--flag", "maybe"], 'expected "true" or "false": --flag maybe'),
        (["--flag", ""], 'expected "true" or "false": --flag '),
        (["--cmd", ""], "empty argument to --cmd option"),
        (["--config", "nowhere.conf"], "missing config 'nowhere.conf'"),
        (["--config"], "option --config needs a value"),
    ],
)
def test_a_wrong_option_gets_one_line_and_status_1(script: Path, arguments: list[str], line: str) -> None:
    result = run(script, *arguments)
    assert (result.stdout, result.stderr, result.returncode) == ("", f"script.sh: {line}\n", 1)
    assert not (script.parent / "hacked").exists()


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_printed_and_is_no_error(script: Path, option: str) -> None:
    result = run(script, "--stage", "3", option)
    expected = "Usage: script [options]\n  --stage N  where to begin\n"
    assert (result.stdout, result.stderr, result.returncode) == (expected, "", 0)


def test_config_files_are_read_first_from_left_to_right(script: Path) -> None:
    (script.parent / "one.conf").write_text("stage=1\nstop_stage=1\nname=one\n")
    (script.parent / "two.conf").write_text("stop_stage=2\nname=two\n")
    result = run(script, "--name", "given", "--config", "one.conf", "--config", "two.conf", "rest")
    assert (result.stdout, result.stderr) == ("1|2|false|given||run.pl|rest|", "")


def test_a_config_after_the_first_argument_is_not_read(script: Path) -> None:
    (script.parent / "one.conf").write_text("stage=1\n")
    assert run(script, "rest", "--config", "one.conf").stdout.startswith("0|7|")


def test_nothing_is_left_behind_in_the_script(tmp_path: Path) -> None:
    path = tmp_path / "script.sh"
    names = "compgen -A variable -A function | grep -E '^_(parse|option|position|value)' || true"
    path.write_text(f"set -euo pipefail\nstage=0\n. {PARSE_OPTIONS}\n{names}\n")
    assert run(path, "--stage", "3").stdout == ""
