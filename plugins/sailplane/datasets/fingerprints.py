"""Fingerprints of the source of a day's rows, which reveal a changed source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, Self, runtime_checkable

# How many parts a message names.
NAMED: Final = 3


@dataclass(frozen=True, kw_only=True)
class SourcePart:
    """A data file or a module. `mark` changes with its content, `size` is in bytes; `modified` is not compared."""

    mark: str
    size: int
    modified: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """`about` says how the rows are read, `parts` are the source files by name. A source that `expires` may lose
    parts."""

    about: str
    parts: Mapping[str, SourcePart] = field(default_factory=dict)
    expires: bool = field(default=False, compare=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        parts = {name: SourcePart(mark=part["mark"], size=part["size"]) for name, part in values["parts"].items()}
        return cls(about=values["about"], parts=parts)

    def to_dict(self) -> dict[str, Any]:
        parts = {name: {"mark": part.mark, "size": part.size} for name, part in sorted(self.parts.items())}
        return {"about": self.about, "parts": parts}


@runtime_checkable
class Fingerprinted(Protocol):
    """An extract that knows the source of its rows."""

    def fingerprints(self, days: tuple[datetime, ...]) -> Mapping[datetime, Fingerprint]: ...


def difference(before: Fingerprint, now: Fingerprint) -> str:
    """The changes, like "sales-2026-01-03.csv, 1.2 MB -> 1.3 MB"; empty if there are none."""
    if before.about != now.about:
        return f"{now.about}, no longer {before.about}"
    if now.expires and now.parts.items() <= before.parts.items():
        return ""
    changes = list(_changes(before.parts, now.parts))
    more = f" and {len(changes) - NAMED} more" if len(changes) > NAMED else ""
    return "; ".join(changes[:NAMED]) + more


def lost(before: Fingerprint, now: Fingerprint) -> str:
    """The first missing part of a source that expires; empty if no part is missing."""
    gone = sorted({*before.parts} - {*now.parts}) if now.expires and before.about == now.about else []
    return gone[0] if gone else ""


def newer(now: Fingerprint, made: datetime) -> str:
    """A message naming the parts that changed after `made`, for rows without a fingerprint; empty if none did."""
    names = sorted(name for name, part in now.parts.items() if part.modified and part.modified > made)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more} changed after {made:%Y-%m-%d %H:%M}" if names else ""


def _changes(before: Mapping[str, SourcePart], now: Mapping[str, SourcePart]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if new is None:
            yield f"{name} is gone"
        elif old is None:
            yield f"{name} is new, {size(new.size)}"
        elif old != new:
            yield f"{name}, {size(old.size)} -> {size(new.size)}" if old.size != new.size else f"{name} changed"


def size(count: int) -> str:
    """A readable size, like 1.2 MB."""
    for unit, bound in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= bound:
            return f"{count / bound:.1f} {unit}"
    return f"{count} bytes"
