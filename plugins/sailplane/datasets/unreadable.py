"""Errors for files that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sailplane.errors import DataError, SchemaError
from sailplane.records import Field


def broken(uri: str, reason: object) -> DataError:
    """The error for a file that cannot be read; it shows the first line of `reason`."""
    line = str(reason).strip().partition("\n")[0][:300]
    return DataError(
        "read", uri, got=line, remedy="Write the file again, or change the pattern so that it skips the file."
    )


def check_columns(uri: str, found: Sequence[str], columns: Sequence[Field]) -> None:
    """Raises SchemaError unless each of `columns` occurs exactly once."""
    times = Counter(found)
    for field in columns:
        if times[field.name] != 1:
            known = ", ".join(map(repr, found[:50])) or "no columns"
            raise SchemaError(
                "read",
                uri,
                got=f"the column {field.name!r} {f'{times[field.name]} times' if times[field.name] else 'is missing'}",
                expected=f"the column once; it has {known}",
                remedy="Correct the file, or change the schema.",
            )
