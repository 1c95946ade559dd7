"""Datasets from files: an extract that reads a pattern of URIs (patterns.py)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import pandas as pd

from sailplane.datasets.fingerprints import Fingerprint, SourcePart
from sailplane.datasets.formats import check_suffix, frames
from sailplane.datasets.patterns import Pattern, folder, has_glob, matcher
from sailplane.datasets.schema import fields
from sailplane.datasets.types import timestamps
from sailplane.datasets.versions import THREADS
from sailplane.errors import StorageError
from sailplane.records import Field
from sailplane.storage import ObjectInfo
from sailplane.storage.roots import local_folder
from sailplane.storage.store import Storage

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

log = logging.getLogger(__name__)
# Each file takes about 100 MiB while it is read. More threads do not speed up Python, but may speed up a store.
FILES_AT_A_TIME: Final = 4
OpenStorage = Callable[[str], Storage]
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class DatedFile:
    """A file and the days whose rows it may hold."""

    entry: ObjectInfo
    days: tuple[datetime, ...]


class Files:
    """The extract(start, end) that reads the files of the days in [start, end): the schema's columns of CSV, TSV,
    Parquet or JSON lines. Text files may be compressed with gzip or zstd.

    A day's rows come from the files that match the pattern for that day and have their `time` in it; other rows of
    these files are skipped. A file that covers several days is read once per call. Times without a zone are UTC. Rows
    without a time are kept for the quarantine. Several files are read in parallel; memory holds a few blocks of each,
    and the kept rows.

    `open_storage` opens the pattern's root. If the source `expires`, its files may be deleted after they are read.
    Raises ConfigurationError for a malformed pattern. A call raises DataError for an unreadable file and SchemaError
    for a file that lacks a column; both name the URI. A day without a file is a day without rows.
    """

    def __init__(
        self,
        pattern: str,
        *,
        schema: DataFrameSchema,
        time: str,
        open_storage: OpenStorage = Storage,
        expires: bool = False,
    ) -> None:
        self._pattern, self._columns, self._time = Pattern.parse(pattern), fields(schema), time
        self._open, self._expires = open_storage, expires
        check_suffix(pattern)

    def __call__(self, start: datetime, end: datetime) -> pd.DataFrame:
        days = [start + n * DAY for n in range((end - start).days)]
        storage = _opened(self._pattern.root, self._open)
        found, missed = _find(storage, self._pattern, days)
        if missed:
            log.warning("%d patterns match no file, like %s", len(missed), storage.uri(min(missed)))
        with ThreadPoolExecutor(FILES_AT_A_TIME) as threads:
            rows = threads.map(lambda path: _rows(storage, path, self._columns, self._time, found[path].days), found)
            kept = list(rows)
        return _joined([frame for file in kept for frame in file if len(frame)], self._columns)

    def fingerprints(self, days: tuple[datetime, ...]) -> Mapping[datetime, Fingerprint]:
        """The files of each day with size and etag; a local file's etag combines inode, time and size. Only
        listings are read."""
        storage = _opened(self._pattern.root, self._open)
        parts: dict[datetime, dict[str, SourcePart]] = {day: {} for day in days}
        for path, file in _find(storage, self._pattern, days)[0].items():
            entry = file.entry
            mark = entry.etag or entry.modified.isoformat()
            for day in file.days:
                parts[day][path] = SourcePart(mark=mark, size=entry.size, modified=entry.modified)
        about = f"files under {storage.root} by {self._time}"
        return {day: Fingerprint(about=about, parts=parts[day], expires=self._expires) for day in days}


def _opened(root: str, open_storage: OpenStorage) -> Storage:
    # Opening a missing folder would create it.
    if root.startswith("file:") and not local_folder(root).is_dir():
        remedy = "Is its disk mounted? Else correct the pattern."
        raise StorageError("open", root, got="the folder does not exist", remedy=remedy)
    return open_storage(root)


def _find(storage: Storage, pattern: Pattern, days: Sequence[datetime]) -> tuple[dict[str, DatedFile], set[str]]:
    """The files by path, sorted, and the patterns without a match. Each folder is listed once for all days."""
    wanted: dict[str, list[datetime]] = {}
    for day in days:
        wanted.setdefault(pattern.on(day), []).append(day)
    listings: dict[str, list[str]] = {}
    for path in wanted:
        listings.setdefault(folder(path) if has_glob(path) else path, []).append(path)
    found: dict[str, DatedFile] = {}
    missed = set(wanted)
    with ThreadPoolExecutor(THREADS) as threads:
        for matches in threads.map(lambda path: _matches(storage, path, listings[path]), listings):
            for entry, meant in matches:
                known = found.get(entry.path, DatedFile(entry, ()))
                found[entry.path] = DatedFile(entry, (*known.days, *wanted[meant]))
                missed.discard(meant)
    return dict(sorted(found.items())), missed


def _matches(storage: Storage, path: str, patterns: Sequence[str]) -> list[tuple[ObjectInfo, str]]:
    """Each matching file with its pattern."""
    if not has_glob(patterns[0]):
        try:
            return [(storage.head(path), path)]
        except FileNotFoundError:
            return []
    tests = [(matcher(pattern), pattern) for pattern in patterns]
    return [
        (entry, pattern) for entry in storage.entries(path) for test, pattern in tests if test.fullmatch(entry.path)
    ]


def _rows(
    storage: Storage, path: str, columns: Sequence[Field], time: str, days: Sequence[datetime]
) -> list[pd.DataFrame]:
    read, kept = 0, []
    for frame in frames(storage, path, columns):
        times = timestamps(frame[time])
        read += len(frame)
        kept.append(frame[times.isna() | times.dt.floor("D").isin(days)])
    log.info("%s: %d of %d rows belong to these days", storage.uri(path), sum(map(len, kept)), read)
    return kept


def _joined(kept: Sequence[pd.DataFrame], columns: Sequence[Field]) -> pd.DataFrame:
    if not kept:
        return pd.DataFrame(columns=[field.name for field in columns])
    return pd.concat(kept, ignore_index=True)
