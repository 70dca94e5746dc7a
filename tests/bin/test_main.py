"""`wenet-lite`: one name for all commands."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from wenet_lite.bin import doctor, main

PROJECT = Path(__file__).resolve().parents[2]
NO_COMMANDS = {"__init__", "arguments", "command", "kaldi_tool", "main"}


def run(*arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    command = [PROJECT / "tools/wenet-lite", *arguments]
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "VIRTUAL_ENV": sys.prefix}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_help_lists_every_command_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--help"]) == 0
    shown = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert shown == {path.stem for path in (PROJECT / "wenet_lite/bin").glob("*.py")} - NO_COMMANDS


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["recognise"]) == 1
    assert capsys.readouterr().err == "wenet-lite: unknown command 'recognise'; did you mean 'recognize'?\n"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name}")


def test_only_the_command_that_is_named_is_imported() -> None:
    script = (
        "import sys; from wenet_lite.bin.main import main; main(['--help']); "
        "print(*(m for m in sys.modules if m.startswith('wenet_lite.') or m in ('torch', 'numpy')))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    imported = set(result.stdout.splitlines()[-1].split())
    assert imported == {"wenet_lite.bin", "wenet_lite.bin.main", "wenet_lite.bin.command", "wenet_lite.errors"}


def test_a_clone_has_the_command_without_being_installed(tmp_path: Path) -> None:
    """From any folder, with the command's exit status and its one line on standard error."""
    result = run("score", "--ref", "none", "--hyp", "none", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("score: none: ") and result.stderr.count("\n") == 1


def test_doctor_reports_versions_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("torch", "no-such-package"))
    assert doctor.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("wenet_lite ") and f"torch {version('torch')}" in lines
    assert "no-such-package: missing (pip install -r requirements.txt)" in lines
