"""What is wrong with the run of one as-of: the text of `faults/<as-of>.txt` in the project; without that, nothing."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "faults"


def of(as_of: str) -> str:
    try:
        return (FOLDER / f"{as_of}.txt").read_text()
    except FileNotFoundError:
        return ""
