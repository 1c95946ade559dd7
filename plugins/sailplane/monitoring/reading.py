"""Reads the request log as frames, joined with late labels and feedback."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sailplane.errors import DataError
from sailplane.monitoring.labels import TRUTH, Labels, Late, read_labels, truths, uniform
from sailplane.monitoring.log_export import DROPPED, days, feedback_of
from sailplane.monitoring.rows import FEEDBACK
from sailplane.serving.spool import files
from sailplane.storage import Storage

THREADS: Final = 8
_FILE: Final = re.compile(r".*/(?P<day>\d{4}-\d\d-\d\d)/(?P<name>[^/]+)\.parquet")


@dataclass
class Counts:
    """Counts of the log that was read. `rows` is by (version, status, shadow), `dropped` by reason. `*_repeated`
    counts labels that a newer one for the same row replaced, `*_unknown` ids without a request."""

    requests: int = 0
    rows: Counter[tuple[str, int, bool]] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    feedback: int = 0
    feedback_unknown: int = 0
    labels: int = 0
    labels_repeated: int = 0
    labels_unknown: int = 0
    labelled: int = 0


class RequestSelection(TypedDict, total=False):
    """Selects the rows to read.

    :param since: the first day, in UTC
    :param until: the last day, in UTC
    :param labels: late labels
    :param spool: the folder of log files that are not exported yet
    :param counts: filled with the counts of what was read
    """

    since: date | None
    until: date | None
    version: str | None
    labels: Labels | None
    spool: Path | None
    counts: Counts | None


def requests(storage: Storage, model: str, **options: Unpack[RequestSelection]) -> pd.DataFrame:
    """The rows of the requests, oldest first, each with the `reward` and `truth` for its id. A label takes precedence
    over a truth in feedback; otherwise the newest value counts. Raises DataError if there are no rows."""
    found = list(scan(storage, model, **options))
    if not found:
        raise DataError(
            "read requests of",
            model,
            got=f"none from {options.get('since') or 'the first day'} to {options.get('until') or 'today'}",
            remedy="A server's log reaches the store after some minutes; `sailplane status` shows the backlog.",
        )
    frame = pd.concat(found).sort_values("time", kind="stable", ignore_index=True)
    return frame.assign(**{TRUTH: uniform(frame[TRUTH])})


def scan(storage: Storage, model: str, **options: Unpack[RequestSelection]) -> Iterator[pd.DataFrame]:
    """Like `requests`, but unordered, one file at a time. Keeps a few files and all late values in memory."""
    counts = options.get("counts") or Counts()
    late = _Late(_feedback(storage, model, options), options.get("labels"))
    for table in _tables(storage, model, options):
        _count(table, counts)
        frame = late.joined(table.replace_schema_metadata(None))
        counts.labelled += int(frame[TRUTH].notna().sum())
        if len(frame):
            yield frame
    late.count(counts)


class _Late:
    def __init__(self, feedback: pd.DataFrame, labels: Labels | None) -> None:
        self._feedback, self._truths = Late.of(feedback, "reward"), truths(feedback)
        self._rewards = Late.of(feedback[feedback["reward"].notna()], "reward")
        given = pd.DataFrame({"id": [], TRUTH: []}) if labels is None else read_labels(labels)
        self._labels = Late.of(given, TRUTH)

    def joined(self, table: pa.Table) -> pd.DataFrame:
        frame = _frame(table)
        ids, rows = frame["id"].tolist(), frame["row"].tolist()
        self._feedback.match(ids)
        frame["reward"] = pd.Series(self._rewards.for_rows(ids, rows), dtype="float64")
        feedback, labels = self._truths.for_rows(ids, rows), self._labels.for_rows(ids, rows)
        values = [back if label is None else label for back, label in zip(feedback, labels, strict=True)]
        frame[TRUTH] = pd.Series(values, dtype="object")
        return frame

    def count(self, counts: Counts) -> None:
        counts.feedback, counts.feedback_unknown = self._feedback.count, self._feedback.unknown
        counts.labels, counts.labels_repeated = self._labels.count, self._labels.repeated
        counts.labels_unknown = self._labels.unknown


def _tables(storage: Storage, model: str, options: RequestSelection) -> Iterator[pa.Table]:
    """Reads the spool first, because files that are exported in the meantime are then found in the store."""
    read: set[str] = set()
    for path in _waiting(model, options):
        with suppress(FileNotFoundError):
            found = list(days(path))
            read.add(path.stem)
            yield from (
                day.table()
                for day in found
                if _matches_day(options, day.date) and _matches_version(options, day.head.version)
            )
    paths = _paths(storage, f"requests/{model}", options, read)
    yield from _read(storage, [path for path in paths if _matches_version(options, path.split("/")[-3])])


def _feedback(storage: Storage, model: str, options: RequestSelection) -> pd.DataFrame:
    """The feedback, oldest first. Feedback may arrive long after its request."""
    read: set[str] = set()
    waiting: list[dict[str, Any]] = []
    for path in _waiting(model, options):
        with suppress(FileNotFoundError):
            waiting += feedback_of(path)
            read.add(path.stem)
    tables = [*_read(storage, _paths(storage, f"feedback/{model}", options, read, late=True))]
    tables.append(pa.Table.from_pylist(waiting, schema=FEEDBACK))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame.sort_values("time", kind="stable")


def _waiting(model: str, options: RequestSelection) -> list[Path]:
    spool = options.get("spool")
    return files(spool / model) if spool else []


def _matches_version(options: RequestSelection, version: str) -> bool:
    return options.get("version") in (None, version)


def _matches_day(options: RequestSelection, text: str, *, late: bool = False) -> bool:
    day, since, until = date.fromisoformat(text), options.get("since"), options.get("until")
    return (since is None or day >= since) and (late or until is None or day <= until)


def _paths(
    storage: Storage, folder: str, options: RequestSelection, read: Collection[str], *, late: bool = False
) -> list[str]:
    """The paths, ordered by day."""
    files = [match for path in storage.list(folder) if (match := _FILE.fullmatch(path))]
    selected = [path for path in files if _matches_day(options, path["day"], late=late) and path["name"] not in read]
    return [path.string for path in sorted(selected, key=lambda path: (path["day"], path["name"]))]


def _read(storage: Storage, paths: Sequence[str]) -> Iterator[pa.Table]:
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, len(paths), THREADS):
            some = paths[start : start + THREADS]
            yield from threads.map(lambda path: _table(storage, path), some)


def _table(storage: Storage, path: str) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(storage.get(path)))
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        got = "it is damaged" if isinstance(error, pa.ArrowInvalid) else "it is missing"
        remedy = "Restore it from a backup or remove it, then try again."
        raise DataError("read requests in", storage.uri(path), got=got, remedy=remedy) from error


def _frame(table: pa.Table) -> pd.DataFrame:
    # Otherwise integers with nulls would become rounded floats.
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _count(table: pa.Table, counts: Counts) -> None:
    metadata: dict[bytes, Any] = table.schema.metadata or {}
    counts.dropped.update(json.loads(metadata.get(DROPPED, b"{}")))
    names = (table[name].to_pylist() for name in ("version", "status", "shadow"))
    counts.rows.update(zip(*names, strict=True))
    counts.requests += table["row"].to_pylist().count(0)
