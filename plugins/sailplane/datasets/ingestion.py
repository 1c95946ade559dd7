"""Ingestion: from a user's `extract` to the partitions of a range of days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from sailplane.datasets.batch import DAY, ExtractedRows, split
from sailplane.datasets.markers import Marker, Partitions
from sailplane.datasets.plan import Plan, planned
from sailplane.datasets.schema import fields, fingerprint, key, unchecked
from sailplane.datasets.validation import check
from sailplane.datasets.versions import THREADS, publish, whole_days
from sailplane.errors import ConfigurationError, DataError, EmptyDataError, SchemaError
from sailplane.records import Dataset, Field, Interval
from sailplane.storage import Storage

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

Extract = Callable[[datetime, datetime], pd.DataFrame]
Tell = Callable[[str], object]


def ingest(
    storage: Storage,
    *,
    name: str,
    extract: Extract,
    schema: DataFrameSchema,
    time: str,
    interval: Interval,
    again: Mapping[datetime, str] | None = None,
    tell: Tell = lambda _sentence: None,
) -> Dataset:
    """Ingests the days of `interval` and returns them as a version of the dataset. Ingested days are extracted again if
    their source has changed (if `extract` is `Fingerprinted`) or if `again` gives a reason. `tell` gets a message for
    each reason, with its days.

    `extract` is called once for each run of consecutive days. Rows that fail the schema go to quarantine; a row without
    a time belongs to the first day of its call. Uniqueness and frame-wide checks see the rows of one call.

    Raises SchemaError for a missing column, a column of a wrong type, and days with bad rows only; EmptyDataError for
    days without rows; DataError for rows outside the extracted days. Nothing is written for such days, not even to
    quarantine, and they keep their old rows. The other days of the call are written, and the next try extracts only the
    remaining ones.
    """
    columns = fields(schema)
    _check_arguments(name, interval, columns, time)
    shape = [field.content() for field in columns]
    partitions = Partitions(storage=storage, name=name, schema=fingerprint(schema), fields=shape, key=key(schema))
    with ThreadPoolExecutor(THREADS) as threads:
        days = interval.days
        plan = planned(extract, dict(zip(days, threads.map(partitions.find, days), strict=True)), again or {})
        found = {**plan.known, **_adopted(threads, partitions, plan, tell)}
        batches = []
        try:
            for gap in _gaps(list(plan.reasons)):
                batches.append(_extract(name, extract, schema, time, gap))
                found |= _write(threads, partitions, batches[-1], plan)
        finally:
            _tell(plan, found, tell)
    if unusable := [day for batch in batches for day in (*batch.empty, *batch.rejected)]:
        raise _unusable(name, batches, plan, unusable)
    markers = [found[day] for day in days]
    held = [marker.partition for marker in markers]
    return publish(storage, name, interval, columns, held, _revised(markers), unchecked(schema))


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
    """Runs of consecutive days, oldest first."""
    start = 0
    for position, day in enumerate(missing):
        if position + 1 == len(missing) or missing[position + 1] != day + DAY:
            yield Interval(start=missing[start], end=day + DAY)
            start = position + 1


def _extract(name: str, extract: Extract, schema: DataFrameSchema, time: str, gap: Interval) -> ExtractedRows:
    frame = extract(gap.start, gap.end)
    if not isinstance(frame, pd.DataFrame):
        raise SchemaError("extract", f"{name} {gap}", got=type(frame).__name__, expected="a pandas DataFrame")
    if frame.empty:
        return ExtractedRows(whole={}, empty=gap.days, rejected={})
    checked = check(frame, schema, time)
    outside = checked.times[(checked.times < gap.start) | (checked.times >= gap.end)]
    if len(outside):
        raise DataError(
            "extract",
            f"{name} {gap}",
            got=f"{len(outside)} of {len(frame)} rows lie outside, like {time} = {outside.iloc[0].isoformat()}",
            expected=f"{gap.start.isoformat()} <= {time} < {gap.end.isoformat()}",
            remedy="Cut the rows in extract(start, end) to that range, so that no row leaks into another day.",
        )
    return split(checked, gap, time, fields(schema))


def _adopted(threads: ThreadPoolExecutor, partitions: Partitions, plan: Plan, tell: Tell) -> dict[datetime, Marker]:
    if plan.adopted:
        tell(f"{_listed(list(plan.adopted))}: ingested by an earlier release, assumed to match the current source")
    markers = threads.map(lambda day: partitions.adopt(plan.known[day], plan.sources[day]), plan.adopted)
    return dict(zip(plan.adopted, markers, strict=True))


def _write(
    threads: ThreadPoolExecutor, partitions: Partitions, batch: ExtractedRows, plan: Plan
) -> dict[datetime, Marker]:
    def write(day: datetime) -> Marker:
        source, before = plan.sources.get(day), plan.known.get(day)
        return partitions.write(day, batch.whole[day], source=source, before=before, why=plan.reasons[day])

    return dict(zip(batch.whole, threads.map(write, batch.whole), strict=True))


def _tell(plan: Plan, found: Mapping[datetime, Marker], tell: Tell) -> None:
    """Reports which days were ingested again, and why."""
    read = [day for day in plan.reasons if day in plan.known and found[day] is not plan.known[day]]
    for days, reason in _alike([(day, plan.reasons[day]) for day in read]):
        changed = sum(found[day].partition.digest != plan.known[day].partition.digest for day in days)
        outcome = (
            "other rows" if changed == len(days) else "the same rows" if not changed else f"{changed} with other rows"
        )
        tell(f"{_listed(days)}: ingested again ({reason}): {outcome}")


def _revised(markers: Sequence[Marker]) -> tuple[str, ...]:
    """The days with a version above 1, like "2026-01-03 in version 2"."""
    versions = [
        (datetime.fromisoformat(marker.partition.day).replace(tzinfo=UTC), f"version {marker.version}")
        for marker in markers
        if marker.version > 1
    ]
    return tuple(f"{_listed(days)} in {version}" for days, version in _alike(versions))


def _alike(days: Sequence[tuple[datetime, str]]) -> Iterator[tuple[list[datetime], str]]:
    """Groups the days by text, in the order in which the texts first occur."""
    found: dict[str, list[datetime]] = {}
    for day, text in days:
        found.setdefault(text, []).append(day)
    return ((alike, text) for text, alike in found.items())


def _unusable(name: str, batches: Sequence[ExtractedRows], plan: Plan, days: Sequence[datetime]) -> DataError:
    reasons = {day: plan.reasons[day] for day in days}
    empty = [day for batch in batches for day in batch.empty]
    rejected = {day: reason for batch in batches for day, reason in batch.rejected.items()}
    got = [f"no rows on {_listed(empty)}"] if empty else []
    if rejected:
        reason = next(iter(rejected.values()))
        got.append(f"only bad rows on {_listed(list(rejected))}, like {reason}")
    got += [f"{_listed(alike)} ingested again because {why}" for alike, why in _alike(list(reasons.items())) if why]
    remedy = "These days were not written. Check the rows from extract and the schema, then run again."
    # Code always has a part (its module), so these days came from files.
    if any(why and day in plan.sources and not plan.sources[day].parts for day, why in reasons.items()):
        remedy += " If the source deletes old files, pass source_expires=True to keep the rows read from them."
    return (EmptyDataError if empty else SchemaError)(
        "ingest", name, got="; ".join(got), expected="good rows on each day", remedy=remedy
    )


def _listed(days: Sequence[datetime]) -> str:
    runs = [
        f"{gap.start:%Y-%m-%d}" if len(gap.days) == 1 else f"{gap.start:%Y-%m-%d} to {gap.days[-1]:%Y-%m-%d}"
        for gap in _gaps(days)
    ]
    more = f" and {len(runs) - 10} more" if len(runs) > 10 else ""
    return ", ".join(runs[:10]) + more
