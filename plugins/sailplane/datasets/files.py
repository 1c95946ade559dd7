"""Datasets from files: a pattern of URIs (patterns.py) as the extract of an ingestion."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd

from sailplane.datasets.formats import check_suffix, frames
from sailplane.datasets.ingestion import Extract
from sailplane.datasets.patterns import Pattern, folder, has_glob, matcher
from sailplane.datasets.schema import fields
from sailplane.datasets.types import timestamps
from sailplane.datasets.versions import THREADS
from sailplane.errors import StorageError
from sailplane.records import Field, Interval
from sailplane.storage.store import Storage

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

log = logging.getLogger(__name__)
# Each takes some 100 MiB while it is read, and Python reads no faster in more threads; a store may.
FILES_AT_A_TIME: Final = 4
OpenStorage = Callable[[str], Storage]
Days = Mapping[str, Sequence[datetime]]


def extract_files(pattern: str, *, schema: DataFrameSchema, time: str, open_storage: OpenStorage = Storage) -> Extract:
    """The extract(start, end) that reads the files of the days in [start, end): the schema's columns of CSV, TSV,
    Parquet or JSON lines, the text packed with gzip or zstd or not.

    The rows of a day are those of the files which the pattern means on that day whose `time` lies in it, whatever the
    window: other rows of a file that covers more are left out. Such a file is read once a call. Times without a zone
    are taken as UTC. A row whose time is unknown is kept, for the quarantine. Files are read several at a time, and of
    each only some blocks are in memory besides the rows that are kept.

    `open_storage` opens the pattern's root. Raises ConfigurationError for a pattern that is none. The extract raises
    DataError for a file that cannot be read and SchemaError for one without a column, each with its URI; a day without
    a file is a day without rows.
    """
    parsed, columns = Pattern.parse(pattern), fields(schema)
    check_suffix(pattern)

    def extract(start: datetime, end: datetime) -> pd.DataFrame:
        storage = _opened(parsed.root, open_storage)
        with ThreadPoolExecutor(THREADS) as threads:
            found = _find(threads, storage, parsed, Interval(start=start, end=end).days)
        with ThreadPoolExecutor(FILES_AT_A_TIME) as threads:
            kept = list(threads.map(lambda path: _rows(storage, path, columns, time, found[path]), sorted(found)))
        return _joined([frame for file in kept for frame in file if len(frame)], columns)

    return extract


def _opened(root: str, open_storage: OpenStorage) -> Storage:
    # A folder that is not there would be made.
    if root.startswith("file:") and not Path(url2pathname(urlsplit(root).path)).is_dir():
        remedy = "Is its disk mounted? Else correct the pattern."
        raise StorageError("open", root, got="there is no such folder", remedy=remedy)
    return open_storage(root)


def _find(threads: ThreadPoolExecutor, storage: Storage, pattern: Pattern, days: Sequence[datetime]) -> Days:
    """The days of which each file may hold rows. A folder is listed once, however many days its files are of."""
    wanted: dict[str, list[datetime]] = {}
    for day in days:
        wanted.setdefault(pattern.on(day), []).append(day)
    places: dict[str, list[str]] = {}
    for path in wanted:
        places.setdefault(folder(path) if has_glob(path) else path, []).append(path)
    found: dict[str, list[datetime]] = {}
    missed = set(wanted)
    for matches in threads.map(lambda place: _matches(storage, place, places[place]), places):
        for path, meant in matches:
            found.setdefault(path, []).extend(wanted[meant])
            missed.discard(meant)
    if missed:
        log.warning("%d of %d patterns match no file, like %s", len(missed), len(wanted), storage.uri(min(missed)))
    return found


def _matches(storage: Storage, place: str, patterns: Sequence[str]) -> list[tuple[str, str]]:
    """(path of a file, the pattern that means it)"""
    if not has_glob(patterns[0]):
        return [(place, place)] if storage.exists(place) else []
    tests = [(matcher(pattern), pattern) for pattern in patterns]
    return [
        (entry.path, pattern)
        for entry in storage.entries(place)
        for test, pattern in tests
        if test.fullmatch(entry.path)
    ]


def _rows(
    storage: Storage, path: str, columns: Sequence[Field], time: str, days: Sequence[datetime]
) -> list[pd.DataFrame]:
    read, kept = 0, []
    for frame in frames(storage, path, columns):
        times = timestamps(frame[time])
        read += len(frame)
        kept.append(frame[times.isna() | times.dt.floor("D").isin(days)])
    log.info("%s: %d of %d rows are of the days asked for", storage.uri(path), sum(map(len, kept)), read)
    return kept


def _joined(kept: Sequence[pd.DataFrame], columns: Sequence[Field]) -> pd.DataFrame:
    if not kept:
        return pd.DataFrame(columns=[field.name for field in columns])
    return pd.concat(kept, ignore_index=True)
