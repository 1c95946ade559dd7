"""Reads the fault of the run with this as-of from `faults/<as-of>.txt` in the project. Without that file the run has no
fault."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "faults"


def of(as_of: str) -> str:
    try:
        return (FOLDER / f"{as_of}.txt").read_text()
    except FileNotFoundError:
        return ""
