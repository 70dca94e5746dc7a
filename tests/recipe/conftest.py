"""Fixtures of the recipe's tests."""

from pathlib import Path

import pytest
from recipe_copy import copy_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """An empty recipe."""
    return copy_recipe(tmp_path / "project")
