"""The map of the code is right: what it names is there, and imports go the way that it says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "wenet_lite"
NAME = re.compile(r"[A-Za-z_][\w.]*")


def blocks() -> list[str]:
    """Paragraphs, items and rows of the page, each on one line; diagrams are left out."""
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    return [re.sub(r"\s+", " ", block) for block in re.split(r"\n\s*\n|\n(?=\* |\d+\. |\|)", prose)]


def path_of(token: str) -> Path | None:
    """The file or folder that a token means, in the library where the root has none; None where it is no path."""
    within = ROOT / token if (ROOT / token).exists() else PACKAGE / token
    return within if within.exists() or "/" in token else None


def definitions(path: Path) -> set[str]:
    """Names that a module defines, and `Class.name` of what its classes do; imported ones are not among them."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for name in defined_by(node):
            found.add(name)
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                found.update(name for each in defined_by(member) for name in (each, f"{node.name}.{each}"))
    return found


def defined_by(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def shell_variables(path: Path) -> set[str]:
    return set(re.findall(r"^(\w+)=", path.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("block", [block for block in blocks() if "`" in block], ids=lambda block: block[:40])
def test_what_is_named_is_there(block: str) -> None:
    """Paths are in the tree, other names in a file that the same paragraph, item or row names."""
    tokens = re.findall(r"`([^`]+)`", block)
    paths = [path for path in map(path_of, tokens) if path is not None]
    assert not [path for path in paths if not path.exists()]
    known: set[str] = set()
    for path in paths:
        if path.suffix == ".py":
            known |= definitions(path) | {path.stem}
        elif path.suffix == ".sh":
            known |= shell_variables(path)
    names = [token for token in tokens if path_of(token) is None]
    assert all(NAME.fullmatch(name) for name in names), names
    assert not [name for name in names if name not in known]


def packages() -> list[str]:
    """Packages of the page, from the lowest to the highest."""
    return re.findall(r"^\| `wenet_lite/(\w+)(?:\.py)?` \|", PAGE, re.MULTILINE)


def imports(path: Path) -> set[str]:
    """Packages and modules directly under wenet_lite that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("wenet_lite.")}
    return found & ({path.stem for path in PACKAGE.iterdir()} - {"__init__"})


def test_readme_and_this_page_have_the_same_packages_in_the_same_order() -> None:
    row = re.search(r"^\| `wenet_lite` \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert row is not None
    assert [name.removesuffix(".py") for name in re.findall(r"`([\w.]+)`", row[1])] == packages()
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} <= set(packages())


def test_the_diagram_has_a_way_for_every_import() -> None:
    arrows: dict[str, set[str]] = {}
    for line in re.search(r"flowchart TD\n(.*?)```", PAGE, re.DOTALL)[1].splitlines():
        steps = [re.findall(r"\w+", re.sub(r"\[.*?\]", "", step)) for step in line.split("-->")]
        for above, below in zip(steps, steps[1:]):
            for name in above:
                arrows.setdefault(name, set()).update(below)

    def reached(name: str) -> set[str]:
        return {name}.union(*(reached(below) for below in arrows.get(name, ())))

    for name in packages():
        folder = PACKAGE / name
        files = folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
        assert set().union(*map(imports, files)) & set(packages()) <= reached(name)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_its_own_package_and_lower_ones(path: Path) -> None:
    order = packages()
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = {child.stem for child in PACKAGE.glob("*.py")} - set(order)
    if here in order:
        allowed |= set(order[: order.index(here) + 1])
    assert imports(path) <= allowed
