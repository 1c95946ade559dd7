"""Durations in DAGs: `"50ms"`, `"30s"`, `"5m"`, `"1.5h"`, `"2d"`."""

from __future__ import annotations

import re
from typing import Final

from sailplane.errors import ConfigurationError

UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LENGTH: Final = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(UNITS)})", re.ASCII)


def seconds(text: object, *, of: str) -> float:
    """The duration in seconds. Raises ConfigurationError, naming the argument `of`, unless it is a duration above 0."""
    found = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    length = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not length:
        units = ", ".join(UNITS)
        raise ConfigurationError("read", of, got=repr(text), expected=f'a number and one of {units}, like "5m"')
    return length
