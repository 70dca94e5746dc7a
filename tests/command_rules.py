"""What a command of the documentation must fulfil: its program exists and takes its arguments."""

from __future__ import annotations

import argparse
import functools
import io
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from documented_commands import Command
from toy import ROOT

from wenet_lite.bin import kaldi_tool
from wenet_lite.bin.main import COMMANDS
from wenet_lite.bin.main import main as wenet_lite
from wenet_lite.config import apply_overrides, from_dict
from wenet_lite.errors import ConfigError
from wenet_lite.experiment import ExperimentConfig

_TOOLS = ROOT / "tools"
_BENCHMARKS = ROOT / "benchmarks"
_RECIPE = ROOT / "egs/librispeech"
# Programs of others; what they start of ours is looked at.
_FOREIGN = {"arecord", "cd", "curl", "docker", "export", "ffmpeg", "git", "kubectl", "pip", "pre-commit"}
_FOREIGN |= {"ln", "printf", "rm", "ruff", "sbatch", "websocket_client_main"}
_FOREIGN_MODULES = {"mypy", "sounddevice"}
_CHECKOUT = "wenet/"  # WeNet's own, as RESULTS.md calls it
_PARSING = ("parse_args", "parse_intermixed_args", "parse_known_args")
_PYTEST_OPTIONS = frozenset({"-k"})


class Fault(Exception):
    """A command that cannot be run as it is written."""


class _Parsed(Exception):
    """Arguments that a parser has taken; raised in place of the work that would follow."""

    def __init__(self, arguments: argparse.Namespace, options: frozenset[str]) -> None:
        super().__init__()
        self.arguments = arguments
        self.options = options


def check(command: Command) -> None:
    """Hold a command against the program that it starts.

    Raises:
        Fault: if there is no such program, it does not take these arguments, or no rule knows it.
    """
    program, *arguments = command.words
    if Path(program).name == "wenet-lite":
        _check_wenet_lite(arguments, command.partial)
    elif program == "bash":
        _check_bash(arguments)
    elif program in ("python", "python3"):
        _check_python(arguments, command.partial)
    elif program == ".":
        _require(ROOT / arguments[0])
    elif program.startswith("tools/") or (_TOOLS / program).is_file():
        _check_tool(_TOOLS / program.removeprefix("tools/"), arguments, command.partial)
    elif program in _FOREIGN:
        _check_started(command)
    else:
        raise Fault(f"no rule knows {program}")


def check_settings(settings: Sequence[str]) -> None:
    """Hold values of `--set` against the configuration of an experiment.

    Raises:
        Fault: if a key is unknown or a value has another type.
    """
    try:
        from_dict(ExperimentConfig, apply_overrides({}, settings))
    except ConfigError as error:
        raise Fault(str(error)) from error


def check_setting_name(name: str) -> None:
    """Hold a key such as `training.max_epochs` against the configuration of an experiment.

    Raises:
        Fault: if it is unknown.
    """
    try:
        check_settings([f"{name}="])
    except Fault as fault:
        if "unknown key" in str(fault):  # other complaints are about the value
            raise


@functools.cache
def known_options() -> frozenset[str]:
    """Every option of the commands, the tools, the recipe and the scripts."""
    of_commands = [_parse(functools.partial(wenet_lite, [name]), partial=True) for name in COMMANDS]
    of_tools = {f"--{option}" for tool in kaldi_tool.TOOLS.values() for option in (*tool.flags, *tool.settings)}
    of_scripts = [_options_in(script) for script in (*_BENCHMARKS.glob("*.py"), ROOT / "tests/run.sh")]
    of_recipe = {f"--{option}" for option in _recipe_options()}
    return frozenset().union(*(parsed.options for parsed in of_commands if parsed), *of_scripts, of_tools, of_recipe)


def _check_wenet_lite(arguments: Sequence[str], partial: bool) -> None:
    parsed = _parse(lambda: wenet_lite(arguments), partial)
    if parsed is None:  # it has shown its help
        return
    check_settings(getattr(parsed.arguments, "set", ()))
    module = getattr(parsed.arguments, "module", None)
    if module is not None:  # of launch
        _check_wenet_lite([module.removeprefix("wenet_lite.bin."), *parsed.arguments.arguments], partial)


def _check_bash(arguments: Sequence[str]) -> None:
    script, *rest = arguments
    if script == "run.sh":
        _check_recipe(rest)
    elif script == "tests/run.sh":
        for word in rest:
            if word.startswith("tests/"):
                _require(ROOT / word)
            elif word.startswith("-") and word not in _options_in(ROOT / script) | _PYTEST_OPTIONS:
                raise Fault(f"{script} has no option {word}")
    else:
        raise Fault(f"no rule knows {script}")


def _check_recipe(arguments: Sequence[str]) -> None:
    if list(arguments) == ["--help"]:
        return
    if len(arguments) % 2:
        raise Fault(f"option {arguments[-1]} needs a value")
    for option, value in zip(arguments[::2], arguments[1::2]):
        if option.removeprefix("--").replace("_", "-") not in _recipe_options():
            raise Fault(f"run.sh has no option {option}")
        if option == "--corpus":
            _require(_RECIPE / f"corpora/{value}.sh")
        elif option == "--set":
            check_settings(value.split())


@functools.cache
def _recipe_options() -> frozenset[str]:
    shown = subprocess.run(["bash", _RECIPE / "run.sh", "--help"], capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"^  --(\S+) ", shown.stdout, re.MULTILINE))


def _options_in(script: Path) -> frozenset[str]:
    return frozenset(re.findall(r"--[a-z][\w-]*", script.read_text()))


def _check_python(arguments: Sequence[str], partial: bool) -> None:
    if arguments[0] == "-m":
        if arguments[1] not in _FOREIGN_MODULES:
            raise Fault(f"no rule knows the module {arguments[1]}")
        return
    if arguments[0].startswith(_CHECKOUT):
        return
    script = ROOT / arguments[0]
    _require(script)
    if re.search("ArgumentParser|command.Parser", script.read_text()):
        with mock.patch.object(sys, "argv", [str(script), *arguments[1:]]):
            _parse(lambda: _run_script(script), partial)
    elif arguments[1:]:
        raise Fault(f"{arguments[0]} takes no arguments")


def _run_script(script: Path) -> int:
    imported = set(sys.modules)
    try:
        with mock.patch.object(sys, "path", [str(script.parent), *sys.path]):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        siblings = {sibling.stem for sibling in script.parent.glob("*.py")}  # of names such as `model`
        for name in siblings & (set(sys.modules) - imported):
            del sys.modules[name]
    return 0


def _check_tool(script: Path, arguments: Sequence[str], partial: bool) -> None:
    _require(script)
    name = script.name.partition(".")[0]
    started = re.search(r'wenet_lite\.bin\.(\w+) "\$@"', script.read_text())
    if name in kaldi_tool.TOOLS:
        if arguments or not partial:
            _check_kaldi_tool(name, arguments)
    elif started is not None:
        _check_wenet_lite([started[1], *arguments], partial)
    elif arguments:
        raise Fault(f"no rule knows the arguments of {script.name}")


def _check_kaldi_tool(name: str, arguments: Sequence[str]) -> None:
    idle = {name: replace(kaldi_tool.TOOLS[name], run=lambda call: None)}
    with mock.patch.dict(kaldi_tool.TOOLS, idle), mock.patch("signal.signal"):
        _parse(lambda: kaldi_tool.main([name, *arguments]), partial=False)


def _check_started(command: Command) -> None:
    words = command.words
    ours = [i for i, word in enumerate(words) if word.startswith("tools/") or Path(word).name == "wenet-lite"]
    if ours:
        check(Command(words[ours[0] :], command.partial))
    elif words[0] == "sbatch":
        raise Fault("sbatch starts none of our scripts")


def _parse(main: Callable[[], int], partial: bool) -> _Parsed | None:
    """Run a program as far as its parser; None if it showed its help, or has no parser."""
    originals = {name: getattr(argparse.ArgumentParser, name) for name in _PARSING}

    def parse_only(parser: argparse.ArgumentParser, name: str, given: Sequence[str] | None = None) -> NoReturn:
        words = list(sys.argv[1:] if given is None else given)
        parser.allow_abbrev = False  # pages have options in full
        options = frozenset(parser._option_string_actions)
        if partial:
            for action in parser._actions:
                action.required = False
            for group in parser._mutually_exclusive_groups:
                group.required = False
            if words and words[-1] in options:  # named without its value
                words.pop()
        with mock.patch.multiple(argparse.ArgumentParser, **originals):
            parse = parser.parse_intermixed_args if name == "parse_intermixed_args" else parser.parse_args
            raise _Parsed(parse(words), options)

    stops: dict[str, Any] = {name: functools.partialmethod(parse_only, name) for name in _PARSING}
    complaint = io.StringIO()
    try:
        with (
            mock.patch.multiple(argparse.ArgumentParser, **stops),
            mock.patch("logging.basicConfig"),
            redirect_stdout(io.StringIO()),
            redirect_stderr(complaint),
        ):
            status: object = main()
    except _Parsed as parsed:
        return parsed
    except SystemExit as stopped:
        status = stopped.code
    if status:
        raise Fault(complaint.getvalue().strip())
    return None


def _require(path: Path) -> None:
    if not path.exists():
        raise Fault(f"there is no {path.relative_to(ROOT)}")
