"""The datasets in a store, their days, and the versions of each day."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sailplane.datasets.markers import Marker, chains
from sailplane.datasets.partitions import Partition
from sailplane.datasets.versions import MAKE_AGAIN, THREADS, listed_in, partitions_of
from sailplane.errors import DataError
from sailplane.records import Dataset, Field, Interval
from sailplane.storage import Storage

_OBJECT: Final = re.compile(
    r"datasets/(?P<name>.+)/(?:partitions/(?P<day>\d{4}-\d\d-\d\d)/[^/]+\.json|versions/(?P<version>[^/]+)\.json)"
)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class ListedDataset:
    """A dataset with its `days` in order and its `versions`."""

    name: str
    days: tuple[str, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DatasetVersion:
    """A dataset's columns and its partitions by day."""

    fields: tuple[Field, ...]
    partitions: Mapping[str, Partition]


def datasets(storage: Storage) -> list[ListedDataset]:
    """The datasets of the store, by name."""
    days: dict[str, set[str]] = {}
    versions: dict[str, set[str]] = {}
    for entry in storage.entries("datasets"):
        if found := _OBJECT.fullmatch(entry.path):
            kept, kind = (days, "day") if found["day"] else (versions, "version")
            kept.setdefault(found["name"], set()).add(found[kind])
    return [
        ListedDataset(name=name, days=tuple(sorted(days.get(name, ()))), versions=tuple(sorted(versions.get(name, ()))))
        for name in sorted({*days, *versions})
    ]


def dataset(storage: Storage, name: str) -> ListedDataset:
    """The dataset with this name. Raises DataError if the store has none."""
    found = {listed.name: listed for listed in datasets(storage)}
    if name not in found:
        got, known = "the store has no such dataset", ", ".join(found)
        raise DataError("find dataset", name, got=got, expected=known or None)
    return found[name]


def history(storage: Storage, name: str, day: str) -> list[Marker]:
    """The newest marker of each version of a day, oldest first, for the latest schema. Garbage-collected versions are
    missing. Raises DataError for a day that was not ingested."""
    last = latest(storage, name, day)
    every = [Marker.read(storage, entry) for entry in chains(storage, name, day)[last.schema]]
    return list({marker.version: marker for marker in every}.values())


def latest(storage: Storage, name: str, day: str) -> Marker:
    """The newest marker of a day. Raises DataError for a day that was not ingested."""
    if (found := _latest(storage, name, day)) is None:
        raise DataError("find day", f"{day} of {name}", got="it was not ingested", remedy=_show(name))
    return found


def current(storage: Storage, name: str, days: Iterable[str]) -> list[Marker]:
    """The newest marker of each day. Raises DataError for a day that was not ingested."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda day: latest(storage, name, day), days))


def superseded(storage: Storage, versions: Sequence[Dataset]) -> list[bool]:
    """Whether some days of each version now have other rows. All versions belong to one dataset."""
    held = [partitions_of(storage, dataset, dataset.interval) for dataset in versions]
    days = sorted({partition.day for partitions in held for partition in partitions})
    with ThreadPoolExecutor(THREADS) as threads:
        newest = threads.map(lambda day: _latest(storage, versions[0].name, day), days)
        now = {marker.partition.day: marker.partition.digest for marker in newest if marker}
    return [any(now.get(kept.day, kept.digest) != kept.digest for kept in partitions) for partitions in held]


def _latest(storage: Storage, name: str, day: str) -> Marker | None:
    newest = [Marker.read(storage, entries[-1]) for entries in chains(storage, name, day).values()]
    return max(newest, key=lambda marker: marker.made, default=None)


def version(storage: Storage, name: str, start: str) -> DatasetVersion:
    """The version whose name begins with `start`. Raises DataError if none or several do."""
    found = [digest for digest in dataset(storage, name).versions if digest.startswith(start)]
    if len(found) != 1:
        got = f"{len(found)} versions start with it" if found else "there is no such version"
        raise DataError("find version", f"{start} of {name}", got=got, remedy=_show(name))
    return storage.read_json(f"datasets/{name}/versions/{found[0]}.json", _version, MAKE_AGAIN)


def _version(manifest: Any) -> DatasetVersion:
    fields = tuple(Field.from_dict(values) for values in manifest["schema"])
    return DatasetVersion(fields=fields, partitions={partition.day: partition for partition in listed_in(manifest)})


def _show(name: str) -> str:
    return f"`sailplane datasets show {name}` lists its days and versions."


def within(days: tuple[str, ...], first: datetime | None, last: datetime | None) -> tuple[str, ...]:
    """The days from `first` to `last`, both included."""
    start = f"{first:%Y-%m-%d}" if first else ""
    end = f"{last:%Y-%m-%d}" if last else "9999"
    return tuple(day for day in days if start <= day <= end)


def days_of(text: str, interval: Interval) -> tuple[datetime, ...]:
    """The days named by the trigger form's field `refresh`: "3" (the last three), "2026-01-03" or
    "2026-01-03..2026-01-09", or several of these, separated by commas. Raises ValueError for any other text, and for
    days outside `interval`."""
    found: set[datetime] = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        found |= set(last_days(int(part), interval) if part.isdecimal() else _range(part, interval))
    return tuple(sorted(found))


def last_days(count: int, interval: Interval) -> tuple[datetime, ...]:
    """The last `count` days of the interval."""
    return interval.days[max(0, len(interval.days) - count) :]


def _range(text: str, interval: Interval) -> list[datetime]:
    first, _, last = text.partition("..")
    start, end = (datetime.fromisoformat(f"{day.strip()}T00:00:00+00:00") for day in (first, last or first))
    if not interval.start <= start <= end < interval.end:
        raise ValueError(text)
    return [start + n * DAY for n in range((end - start).days + 1)]
