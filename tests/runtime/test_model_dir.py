"""The model directory is replaced as a whole, and the language model in it stays."""

import contextlib
from pathlib import Path

import pytest

from wenet_lite.runtime.model_dir import new_folder


def made(target: Path, source: Path) -> None:
    with new_folder(target, source) as folder:
        (folder / "model.pt").write_text("new")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "model/lm").mkdir(parents=True)
    (tmp_path / "model/lm/lm.arpa.gz").write_text("kept")
    (tmp_path / "exp").mkdir()
    return tmp_path / "model"


def test_a_link_leads_to_the_folder_that_is_replaced(target: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(target)
    made(tmp_path / "link", tmp_path / "exp")
    assert (tmp_path / "link").is_symlink() and (target / "model.pt").exists()
    assert (target / "lm/lm.arpa.gz").read_text() == "kept"


@pytest.mark.parametrize("renames", range(3))
def test_a_language_model_outlives_a_kill(
    target: Path, tmp_path: Path, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two renames."""
    left, rename = [None] * renames, Path.replace

    def killed(path: Path, to: Path) -> Path:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return rename(path, to)

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", killed)
        with contextlib.suppress(KeyboardInterrupt):
            made(target, tmp_path / "exp")
    made(target, tmp_path / "exp")
    assert (target / "lm/lm.arpa.gz").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exp", "model"]
