"""The options --from and --to of commands."""

from __future__ import annotations

from datetime import date

from sailplane.errors import ConfigurationError


def require_order(first: date | None, last: date | None) -> None:
    """ConfigurationError if --from lies after --to."""
    if first and last and first > last:
        got, expected = f"after --to {last:%Y-%m-%d}", "a day that is not after --to"
        raise ConfigurationError("read --from", f"{first:%Y-%m-%d}", got=got, expected=expected)
