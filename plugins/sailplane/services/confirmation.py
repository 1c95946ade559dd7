"""Asks before a command deletes or moves things."""

from __future__ import annotations

import sys

from sailplane.errors import ConfigurationError


def confirm(question: str, option: str) -> None:
    """Raises ConfigurationError unless a person at a terminal agrees. `option` is the flag that skips the question."""
    if not sys.stdin.isatty():
        got, remedy = "there is no terminal to ask at", f"Pass {option}."
        raise ConfigurationError("ask for a confirmation", got=got, remedy=remedy)
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigurationError("get a confirmation", got="the answer was no; nothing was changed")
