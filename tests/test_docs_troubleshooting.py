"""Every message that the page quotes is one that the source prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from toy import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
GAP = ".{0,80}?"
"""Between two constant parts of a message: the name of a shell's variable, strings inside an expression."""
MESSAGES = re.findall(r"^\* `([^`]+)`", PAGE, re.MULTILINE)


def literals(node: ast.AST) -> Iterator[str]:
    """Constant parts of all strings in the order of the source, docstrings left out."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value.replace("%%", "%")
    for child in ast.iter_child_nodes(node):
        yield from literals(child)


@cache
def sources() -> tuple[str, ...]:
    """Of each Python file its strings, of each shell script all of it."""
    files = [path for folder in ("wenet_lite", "tools", "egs") for path in sorted((ROOT / folder).rglob("*"))]
    return tuple(_text(path) for path in files if path.suffix in (".py", ".sh") and path.is_file())


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text if path.suffix == ".sh" else "\n".join(literals(ast.parse(text)))


def is_printed(message: str) -> bool:
    """Whether a file has the constant parts of a message, in their order and close together."""
    parts = [part.strip() for part in re.split(r"<[^>]*>", message)]
    pattern = re.compile(GAP.join(re.escape(part) for part in parts if part), re.DOTALL)
    return any(pattern.search(source) for source in sources())


def test_enough_is_told_and_nothing_twice() -> None:
    assert len(MESSAGES) >= 40
    assert len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_quoted_messages_are_those_of_the_source(message: str) -> None:
    assert is_printed(message)


@pytest.mark.parametrize("message", ["torch finds no GPUs", "made by stage <N>, which needs <file>"])
def test_changed_messages_are_found_out(message: str) -> None:
    assert not is_printed(message)
