"""One function turns a run's context into its as-of. Every operator uses it, and none reads past it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sailplane.durations import seconds
from sailplane.errors import ConfigurationError

NO_DELAY = timedelta(0)
# Windows before and delays after them are dates too.
FIRST_YEAR, LAST_YEAR = 1700, 9000


def as_of(context: Mapping[str, Any]) -> datetime:
    """The midnight (UTC) at which this run stands: it knows all days before, and none after.

    In this order: the trigger form's `as_of`; the end of the partition's day; the end of the data interval if it is
    not empty (`"@daily"` gives an empty one); else the last midnight before the run was due, so that a run without
    dates (triggered by an asset, or by the API with a null logical date) is as of today.

    A day is complete once it has ended and the longest `delay` of the DAG's ingest tasks has passed. A run without
    dates stands at the last complete day. Raises ConfigurationError for a date whose day is not complete.
    """
    delay = source_delay(context)
    stands = _dated(context)
    if stands is None:
        return _midnight((context["dag_run"].run_after - delay).astimezone(UTC).date())
    if now() < stands + delay:
        raise _incomplete(stands, delay)
    return stands


def waits_until(context: Mapping[str, Any]) -> datetime | None:
    """When the last day of a scheduled run will be complete, if the day has ended but its source's delay has not
    passed. All other runs are refused instead."""
    stands, delay = _dated(context), source_delay(context)
    if stands is None or run_type(context) != "scheduled" or _asked(context):
        return None
    return stands + delay if stands <= now() < stands + delay else None


def source_delay(context: Mapping[str, Any]) -> timedelta:
    """The longest delay of the DAG's tasks, since all tasks of a run share one as-of."""
    tasks = [context.get("task"), *getattr(context.get("dag"), "tasks", ())]
    return max((delay for task in tasks for delay in _declared(task)), default=NO_DELAY)


def delay_of(declared: str | timedelta | None) -> timedelta:
    """`"6h"` or a timedelta. Raises ConfigurationError for anything else."""
    if declared is None or declared == NO_DELAY:
        return NO_DELAY
    if isinstance(declared, timedelta) and declared > NO_DELAY:
        return declared
    return timedelta(seconds=seconds(declared, of="delay"))


def first_day(context: Mapping[str, Any]) -> datetime:
    """The start of the run's data interval; the day before the as-of if the interval does not end there."""
    stands, start = as_of(context), context.get("data_interval_start")
    begins = _midnight(start.astimezone(UTC).date()) if start else stands
    fits = begins < stands and _midnight(context["data_interval_end"].astimezone(UTC).date()) == stands
    return begins if fits else stands - timedelta(days=1)


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Runs of type backfill look back: they never change what is served."""
    return run_type(context) == "backfill"


def run_type(context: Mapping[str, Any]) -> str:
    """backfill, scheduled, manual, ..."""
    return str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type))


def run_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """The values that identify the DAG run on the ledger."""
    ti = context["ti"]
    return {"dag": ti.dag_id, "dag_run": ti.run_id, "kind": run_type(context), "day": first_day(context)}


def now() -> datetime:
    return datetime.now(UTC)


def _dated(context: Mapping[str, Any]) -> datetime | None:
    """The midnight that the run's dates name; None for a run without dates."""
    if asked := _asked(context):
        return _midnight(_date("read the parameter as_of", asked))
    if key := getattr(context["dag_run"], "partition_key", None):
        return _midnight(_date("read the partition key", key)) + timedelta(days=1)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and end > start:
        return _midnight(end.astimezone(UTC).date())
    return None


def _asked(context: Mapping[str, Any]) -> Any:
    return context.get("params", {}).get("as_of")


def _declared(task: Any) -> Iterator[timedelta]:
    if isinstance(delay := getattr(task, "source_delay", None), timedelta):
        yield delay
    elif hasattr(getattr(task, "operator_class", None), "source_delay"):
        # A mapped task: it has arguments, but no operator yet.
        yield delay_of(task.partial_kwargs.get("delay"))


def _incomplete(stands: datetime, delay: timedelta) -> ConfigurationError:
    last = _midnight((now() - delay).date())
    day, known = stands - timedelta(days=1), stands + delay
    late = f", with its source's delay of {delay}" if delay else ""
    return ConfigurationError(
        "run",
        f"as of {stands:%Y-%m-%d}",
        got=f"the day {day:%Y-%m-%d} is complete from {known:%Y-%m-%d %H:%M} UTC on{late}",
        expected=f"{last:%Y-%m-%d} or earlier",
        remedy="Rows that arrive later would be missing from that day. Run it then, or name an earlier as_of.",
    )


def _date(failed: str, value: object) -> date:
    wrong = ConfigurationError(failed, got=repr(value), expected="a date like 2026-11-21")
    try:
        found = date.fromisoformat(str(value)[:10])
    except ValueError as error:
        raise wrong from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise wrong
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
