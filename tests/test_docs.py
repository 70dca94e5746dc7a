"""Pages say nothing that is not there."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml
from command_rules import Fault, check, check_setting_name, check_settings, known_options
from documented_commands import blocks, commands, prose, shell_commands
from toy import ROOT

from wenet_lite.config import from_dict
from wenet_lite.experiment import ExperimentConfig

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "egs/librispeech/RESULTS.md",
]
# Blocks without a language are commands.
LANGUAGES = {"", "ini", "mermaid", "python", "text", "yaml"}
FOREIGN_OPTIONS = {"--v", "--build-arg", "--gpus", "--shm-size"}  # of WeNet's compute-wer.py; of docker
SETTING = re.compile(
    r"`((?:text|features|model|batch|augment|training)\.(?!int8|onnx|pt\b|py\b|yaml|zip)[\w.]+)(=[^`]+)?`"
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> set[str]:
    """Headings as GitHub makes addresses of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def own_text(page: Path) -> str:
    """A page, but for the tables that name what is WeNet's; test_docs_wenet_users.py looks at those."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^\|.*\n", "", text, flags=re.MULTILINE) if page.name == "wenet_users.md" else text


@each_page
def test_links_lead_somewhere_and_no_place_is_left_to_fill(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), f"{link}#{heading}"
    for config in re.findall(r"\bconf/\w+\.yaml", text):
        assert (ROOT / config).exists(), config
    assert not re.search(r"^[A-Z]{4,}$", text, re.MULTILINE), "a place that was to be filled"


@each_page
def test_every_command_is_one_that_its_program_takes(page: Path) -> None:
    faults = []
    for command in commands(own_text(page)):
        try:
            check(command)
        except Fault as fault:
            faults.append(f"{command}: {fault}")
    assert not faults, "\n".join(faults)


@each_page
def test_every_option_and_setting_in_the_prose_exists(page: Path) -> None:
    text = prose(own_text(page))
    assert set(re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", text)) <= known_options() | FOREIGN_OPTIONS
    for name, value in SETTING.findall(text):
        if value:
            check_settings([name + value])
        else:
            check_setting_name(name)


@each_page
def test_snippets_are_sound(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        assert block.language in LANGUAGES
        if block.language == "python":
            _check_imports(ast.parse(block.code))
        elif block.language == "yaml":
            trees = list(yaml.safe_load_all(block.code))
            if not any("apiVersion" in tree for tree in trees):  # else it is Kubernetes'
                for tree in trees:
                    from_dict(ExperimentConfig, tree)


def _check_imports(code: ast.Module) -> None:
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wenet_lite"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


def test_commands_are_taken_from_a_page_as_a_shell_takes_them() -> None:
    page = """Run `OMP_NUM_THREADS=1 bash run.sh --seed N`, `score --unit char`, not `data.list`.
```
. ./path.sh
for set in train dev; do fix_data_dir.sh data/$set && wenet-lite describe \\
  "a b" > out.txt; done  # both
python benchmarks/model.py [--only hour|kinds] <model directory> ...
```
```ini
ExecStart=/opt/bin/wenet-lite doctor
```
```yaml
spec: {containers: [{command: [tools/wenet-lite, train], args: [--config, ...]}]}
```
"""
    assert [(*command.words, "...")[: len(command.words) + command.partial] for command in commands(page)] == [
        (".", "./path.sh"),
        ("fix_data_dir.sh", "data/$set"),
        ("wenet-lite", "describe", "a b"),
        ("python", "benchmarks/model.py", "--only", "hour", "1", "..."),
        ("python", "benchmarks/model.py", "--only", "kinds", "1", "..."),
        ("/opt/bin/wenet-lite", "doctor"),
        ("tools/wenet-lite", "train", "--config", "..."),
        ("bash", "run.sh", "--seed", "1"),
        ("wenet-lite", "score", "--unit", "char", "..."),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "wenet-lite trian ...",
        "wenet-lite train ... --no-such-option",
        "wenet-lite train --config conf/mini.yaml",
        "wenet-lite train ... --set training.max_epoch=3",
        "wenet-lite train ... --allow-config",
        "wenet-lite score ... --unit syllable",
        "wenet-lite launch two wenet_lite.bin.train ...",
        "wenet-lite launch 2 wenet_lite.bin.train ... --no-such-option",
        "tools/wenet-lite export ... --format torchscrip",
        "docker run image tools/wenet-lite serve ... --prot 80",
        "tools/no_such_tool.sh data",
        "validate_data_dir.sh --no-feet data",
        "fix_data_dir.sh",
        "import_data.sh --format xml table data",
        "bash run.sh --no-such-option 1",
        "bash run.sh --stage",
        "bash run.sh --corpus huge",
        "bash run.sh --set training.max_epoch=3",
        "bash tests/run.sh --al",
        "bash tests/run.sh tests/no_such_folder",
        "bash no_such_script.sh",
        "python benchmarks/no_such_script.py",
        "python benchmarks/model.py --only nothing",
        "python benchmarks/scoring.py --count 3",
        "python -m no_such_module",
        "sbatch tools/slurm_train.sh --no-such-option",
        "sbatch train.sh",
        ". ./no_such_file.sh",
        "no_such_program",
    ],
)
def test_a_command_that_cannot_run_is_found(line: str) -> None:
    (command,) = shell_commands(line)
    with pytest.raises(Fault):
        check(command)


def test_a_name_of_nothing_is_found() -> None:
    with pytest.raises(Fault):
        check_setting_name("training.max_epoch")
    check_setting_name("training.max_epochs")
    assert "--chunk-size" in known_options()
    assert "--chunk-sise" not in known_options()
