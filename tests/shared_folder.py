"""Where reference data lie that are not part of the repository."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
