"""The commands that the pages show, taken apart as a shell does."""

from __future__ import annotations

import itertools
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from toy import ROOT

from wenet_lite.bin.main import COMMANDS

PLACEHOLDER = "1"
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_PROGRAMS = {"bash", "curl", "docker", "git", "kubectl", "pip", "pre-commit", "python", "sbatch", "wenet-lite"}
_OPTIONAL = re.compile(r"\[(--[^][]+)\]")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: what the fence names, "" for the shell.
        code: its lines.
    """

    language: str
    code: str


@dataclass(frozen=True)
class Command:
    """A program and its arguments.

    Attributes:
        words: as the shell hands them over; a placeholder such as `<model directory>` or N is `PLACEHOLDER`.
        partial: whether arguments are left out.
    """

    words: tuple[str, ...]
    partial: bool

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    return [Block(language, textwrap.dedent(code)) for _, language, code in _FENCED.findall(page)]


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return _FENCED.sub("", page)


def commands(page: str) -> list[Command]:
    """All commands of a page: lines of shell blocks, what services and containers start, and those in the prose."""
    found: list[Command] = []
    for block in blocks(page):
        if block.language == "":
            found += shell_commands(block.code)
        elif block.language == "ini":
            found += shell_commands("\n".join(re.findall(r"^ExecStart=(.+)$", block.code, re.MULTILINE)))
        elif block.language == "yaml":
            found += (_command(words) for tree in yaml.safe_load_all(block.code) for words in _containers(tree))
    for code in _INLINE.findall(prose(page)):
        found += _inline_commands(" ".join(code.split()))
    return found


def shell_commands(code: str) -> list[Command]:
    """The commands of shell code; each alternative of an optional part such as `[--only a|b]` makes one."""
    lines = code.replace("\\\n", " ").splitlines()
    return [command for line in lines for choice in _alternatives(line) for command in _commands_of_line(choice)]


def _alternatives(line: str) -> list[str]:
    literal, optional = _OPTIONAL.split(line)[::2], _OPTIONAL.split(line)[1::2]
    choices = []
    for part in optional:
        option, _, values = part.partition(" ")
        choices.append([f"{option} {value}" for value in values.split("|")])
    chosen = itertools.product(*choices)
    return ["".join(itertools.chain(*zip(literal, (*parts, "")))) for parts in chosen]


def _commands_of_line(line: str) -> Iterator[Command]:
    lexer = shlex.shlex(re.sub(r"<[A-Za-z][^<>]*>", PLACEHOLDER, line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for is_separator, group in itertools.groupby(lexer, lambda token: token in (";", "&", "&&", "|", "||")):
        words = [] if is_separator else list(group)
        while words and (words[0] in ("do", "then") or re.match(r"\w+=", words[0])):
            del words[0]
        words = [word for before, word in zip(["", *words], words) if not {before, word} & {"<", ">", ">>"}]
        if words and words[0] not in ("for", "done"):
            yield _command(words)


def _command(words: list[str]) -> Command:
    known = tuple(PLACEHOLDER if re.fullmatch("[A-Z]+", word) else word for word in words if word != "...")
    return Command(known, partial="..." in words)


def _containers(tree: Any) -> Iterator[list[str]]:
    if isinstance(tree, dict):
        words = [*(tree.get("command") or ()), *(tree.get("args") or ())]
        if words:
            yield words
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _containers(child)


def _inline_commands(code: str) -> list[Command]:
    first, *rest = re.sub(r"^(\w+=\S+ )+", "", code).split(" ")
    if first in COMMANDS and rest and rest[0].startswith(("--", "...")):
        return shell_commands(f"wenet-lite {code} ...")
    if not _is_command(first, rest):
        return []
    return shell_commands(code if len(rest) > 1 else f"{code} ...")  # one word or two only name it


def _is_command(first: str, rest: list[str]) -> bool:
    if first in _PROGRAMS or first.startswith("tools/"):
        return True
    tools = {script.name for script in (ROOT / "tools").iterdir()}
    return bool(rest) and any(word in tools or word.startswith(("benchmarks/", "tools/")) for word in [first, *rest])
