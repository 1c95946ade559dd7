"""Confirmations and tables in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date

from sailplane.errors import ConfigurationError


def confirm(question: str, option: str) -> None:
    """Raises ConfigurationError unless a person at a terminal agrees. `option` is the flag that skips the question."""
    if not sys.stdin.isatty():
        got, remedy = "there is no terminal", f"Pass {option}."
        raise ConfigurationError("ask for a confirmation", got=got, remedy=remedy)
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigurationError("get a confirmation", got="the answer was no; nothing was changed")


def require_order(first: date | None, last: date | None) -> None:
    """Raises ConfigurationError if --from lies after --to."""
    if first and last and first > last:
        got, expected = f"after --to {last:%Y-%m-%d}", "a day that is not after --to"
        raise ConfigurationError("read --from", f"{first:%Y-%m-%d}", got=got, expected=expected)


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Prints rows as columns; the first row has the titles. A rich table would cut URLs at the terminal's width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
