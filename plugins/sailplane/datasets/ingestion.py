"""From a user's `extract` to the partitions of a window of days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from sailplane.datasets.batch import DAY, Batch, split
from sailplane.datasets.partitions import Partition, Partitions
from sailplane.datasets.schema import fields, fingerprint
from sailplane.datasets.validation import check
from sailplane.datasets.versions import THREADS, publish, whole_days
from sailplane.errors import ConfigurationError, DataError, EmptyDataError, SchemaError
from sailplane.records import Dataset, Field, Interval
from sailplane.storage import Storage

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

Extract = Callable[[datetime, datetime], pd.DataFrame]


def ingest(
    storage: Storage, *, name: str, extract: Extract, schema: DataFrameSchema, time: str, interval: Interval
) -> Dataset:
    """The days of `interval` as a version of the dataset; days that are there already are not extracted again.

    `extract` is called once for each run of missing days. Rows that fail the schema go to quarantine; a row whose time
    is unknown counts to the first day of its call. Uniqueness and frame-wide checks see the rows of one call.

    Raises SchemaError for a column that is missing or of a wrong type, and for days of which all rows are bad;
    EmptyDataError for days without rows; DataError for rows outside the days asked for. Of such days nothing is
    written, not even quarantine. The other days of the call stay: they are whole, and the next try asks only for what
    is missing.
    """
    columns = fields(schema)
    _check_arguments(name, interval, columns, time)
    days = interval.days
    shape = [field.to_dict() for field in columns]
    partitions = Partitions(storage=storage, name=name, fingerprint=fingerprint(schema), schema=shape)
    with ThreadPoolExecutor(THREADS) as threads:
        known = zip(days, threads.map(partitions.find, days), strict=True)
        found = {day: partition for day, partition in known if partition}
        batches = []
        for gap in _gaps([day for day in days if day not in found]):
            batches.append(_extract(name, extract, schema, time, gap))
            found |= _write(threads, partitions, batches[-1])
    if len(found) < len(days):
        raise _unusable(name, batches)
    return publish(storage, name, interval, columns, [found[day] for day in days])


def _check_arguments(name: str, interval: Interval, columns: Sequence[Field], time: str) -> None:
    if not whole_days(interval) or not interval.days:
        raise ConfigurationError(
            "ingest",
            name,
            got=f"the interval {interval.start.isoformat()}..{interval.end.isoformat()}",
            expected="one day or more, from midnight to midnight UTC",
        )
    if not any(field.name == time and field.kind == "timestamp" and not field.nullable for field in columns):
        raise ConfigurationError(
            "ingest",
            name,
            got=f"the time column {time!r}",
            expected="a column of the schema with the type pd.DatetimeTZDtype('us', 'UTC'), not nullable",
        )


def _gaps(missing: Sequence[datetime]) -> Iterator[Interval]:
    """Runs of days, oldest first."""
    start = 0
    for place, day in enumerate(missing):
        if place + 1 == len(missing) or missing[place + 1] != day + DAY:
            yield Interval(start=missing[start], end=day + DAY)
            start = place + 1


def _extract(name: str, extract: Extract, schema: DataFrameSchema, time: str, gap: Interval) -> Batch:
    frame = extract(gap.start, gap.end)
    if not isinstance(frame, pd.DataFrame):
        raise SchemaError("extract", f"{name} {gap}", got=type(frame).__name__, expected="a pandas DataFrame")
    if frame.empty:
        return Batch(whole={}, empty=gap.days, rejected={})
    checked = check(frame, schema, time)
    outside = checked.times[(checked.times < gap.start) | (checked.times >= gap.end)]
    if len(outside):
        raise DataError(
            "extract",
            f"{name} {gap}",
            got=f"{len(outside)} of {len(frame)} rows lie outside, like {time} = {outside.iloc[0].isoformat()}",
            expected=f"{gap.start.isoformat()} <= {time} < {gap.end.isoformat()}",
            remedy="Cut the rows in extract(start, end) to that range: others would leak from one day to another.",
        )
    return split(checked, gap, time, fields(schema))


def _write(threads: ThreadPoolExecutor, partitions: Partitions, batch: Batch) -> dict[datetime, Partition]:
    made = threads.map(lambda day: partitions.write(day, *batch.whole[day]), batch.whole)
    return dict(zip(batch.whole, made, strict=True))


def _unusable(name: str, batches: Sequence[Batch]) -> DataError:
    empty = [day for batch in batches for day in batch.empty]
    rejected = {day: reasons for batch in batches for day, reasons in batch.rejected.items()}
    got = [f"no rows on {_listed(empty)}"] if empty else []
    if rejected:
        reason = next(iter(rejected.values()))
        got.append(f"not one good row on {_listed(list(rejected))}, where {reason}")
    return (EmptyDataError if empty else SchemaError)(
        "ingest",
        name,
        got="; ".join(got),
        expected="good rows on each day",
        remedy="Nothing of these days was written. Check what extract gives for them and the schema, and run again.",
    )


def _listed(days: Sequence[datetime]) -> str:
    runs = [
        f"{gap.start:%Y-%m-%d}" if len(gap.days) == 1 else f"{gap.start:%Y-%m-%d} to {gap.days[-1]:%Y-%m-%d}"
        for gap in _gaps(days)
    ]
    more = f" and {len(runs) - 10} more" if len(runs) > 10 else ""
    return ", ".join(runs[:10]) + more
