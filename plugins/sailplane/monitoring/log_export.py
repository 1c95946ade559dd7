"""Exports the model servers' request log files to Parquet in the store.

    requests/<model>/<version>/<day>/<file>.parquet    one row per row of a request; its metadata: lost entries
    feedback/<model>/<day>/<file>.parquet              feedback on the answers of all versions

The day is that of the request or the feedback, in UTC. The objects have the file's own name. The file is removed when
all its objects are in the store; after a kill, the next export writes the same objects again.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sailplane.monitoring.rows import FEEDBACK, Head, Rows, feedback_row, moment
from sailplane.serving import spool
from sailplane.serving.spool import LogEntry, claimed, files, read
from sailplane.storage import Storage

# In a file's metadata: the number of entries dropped before they were written, by reason.
DROPPED: Final = b"sailplane.dropped"
_TOGETHER: Final = 8192
_log = logging.getLogger(__name__)


@dataclass
class Exported:
    files: int = 0
    rows: int = 0
    feedback: int = 0
    dropped: int = 0


def export(folder: Path, storage: Storage) -> Exported:
    """Exports all complete files in the folder and below, oldest first. Several processes may export at once. Raises
    StorageError if the store fails; the next call exports the remaining files."""
    exported = Exported()
    for path in files(folder):
        with claimed(path) as mine:
            if mine:
                _export(path, storage, exported)
    (folder / spool.FAILURE).unlink(missing_ok=True)
    return exported


def _export(path: Path, storage: Storage, exported: Exported) -> None:
    try:
        found = days(path)
    except (OSError, MemoryError):
        # The machine failed, not the file.
        raise
    except Exception:
        # A bad file must not block the others.
        _log.exception("%s cannot be read", path)
        path.rename(path.with_suffix(spool.UNREADABLE))
        return
    for day in found:
        day.put(storage)
        exported.rows += day.rows
        exported.feedback += len(day.feedback)
        exported.dropped += day.dropped.total()
    exported.files += 1
    path.unlink()


@dataclass
class LoggedDay:
    """One day of one file. `parts` are complete tables, `requests` the rows after them until `close`."""

    name: str
    date: str
    head: Head
    requests: Rows
    parts: list[pa.Table] = field(default_factory=list)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def add(self, entry: LogEntry) -> None:
        if entry.kind == spool.LOST:
            self.dropped.update(json.loads(entry.content))
        elif entry.kind == spool.FEEDBACK:
            self.feedback.append(feedback_row(entry, self.head))
        else:
            self.requests.add(entry)
        if len(self.requests) >= _TOGETHER:
            self.close()

    def close(self) -> None:
        self.rows += len(self.requests)
        self.parts.append(self.requests.table())
        self.requests = Rows(self.head)

    def table(self) -> pa.Table:
        return pa.concat_tables(self.parts).replace_schema_metadata({DROPPED: json.dumps(self.dropped)})

    def put(self, storage: Storage) -> None:
        table = self.table()
        if self.rows or self.dropped:
            storage.put(f"requests/{self.head.model}/{self.head.version}/{self.date}/{self.name}.parquet", _file(table))
        if self.feedback:
            feedback = pa.Table.from_pylist(self.feedback, schema=FEEDBACK)
            storage.put(f"feedback/{self.head.model}/{self.date}/{self.name}.parquet", _file(feedback))


def days(path: Path) -> Iterable[LoggedDay]:
    """The content of the file, by day."""
    head, entries = read(path)
    if head is None:
        _log.warning("%s is unreadable", path)
        return ()
    return _by_day(path.stem, Head.of(head), entries).values()


def feedback_of(path: Path) -> list[dict[str, Any]]:
    """The feedback in the file. Requests, which take much more memory, are skipped."""
    head, entries = read(path)
    if head is None:
        return []
    return [feedback_row(entry, Head.of(head)) for entry in entries if entry.kind == spool.FEEDBACK]


def _by_day(name: str, head: Head, entries: Iterator[LogEntry]) -> dict[str, LoggedDay]:
    found: dict[str, LoggedDay] = {}
    for entry in entries:
        date = f"{moment(entry):%Y-%m-%d}"
        if date not in found:
            found[date] = LoggedDay(name, date, head, Rows(head))
        found[date].add(entry)
    for day in found.values():
        day.close()
    return found


def _file(table: pa.Table) -> bytes:
    # In memory, because this export must work on a full disk.
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
