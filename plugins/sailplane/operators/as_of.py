"""Derives a run's as-of from its context. Every operator uses this function, and none reads data past the as-of."""

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
    """The as-of of a run, a midnight in UTC: the run knows all earlier days and no later ones.

    It is the first of: the trigger form's `as_of`; the end of the partition's day; the end of the data interval if that
    is not empty (`"@daily"` gives an empty one); the last midnight before the run was due, so that a run without dates
    (triggered by an asset, or by the API with a null logical date) is as of today.

    A day is complete once it has ended and the longest `delay` of the DAG's ingest tasks has passed. A run without
    dates has the end of the last complete day as its as-of. Raises ConfigurationError for a date whose day is not
    complete.
    """
    delay = source_delay(context)
    midnight = _dated(context)
    if midnight is None:
        return _midnight((context["dag_run"].run_after - delay).astimezone(UTC).date())
    if now() < midnight + delay:
        raise _incomplete(midnight, delay)
    return midnight


def waits_until(context: Mapping[str, Any]) -> datetime | None:
    """The time at which the last day of a scheduled run will be complete, if the day has ended but its source's delay
    has not passed. Other runs are refused instead."""
    midnight, delay = _dated(context), source_delay(context)
    if midnight is None or run_type(context) != "scheduled" or _form_value(context):
        return None
    return midnight + delay if midnight <= now() < midnight + delay else None


def source_delay(context: Mapping[str, Any]) -> timedelta:
    """The longest delay of the DAG's tasks, because all tasks of a run share one as-of."""
    tasks = [context.get("task"), *getattr(context.get("dag"), "tasks", ())]
    return max((delay for task in tasks for delay in _declared(task)), default=NO_DELAY)


def delay_of(declared: str | timedelta | None) -> timedelta:
    """Parses `"6h"` or a timedelta. Raises ConfigurationError for anything else."""
    if declared is None or declared == NO_DELAY:
        return NO_DELAY
    if isinstance(declared, timedelta) and declared > NO_DELAY:
        return declared
    return timedelta(seconds=seconds(declared, of="delay"))


def first_day(context: Mapping[str, Any]) -> datetime:
    """The start of the run's data interval; the day before the as-of if the interval does not end there."""
    midnight, start = as_of(context), context.get("data_interval_start")
    first = _midnight(start.astimezone(UTC).date()) if start else midnight
    fits = first < midnight and _midnight(context["data_interval_end"].astimezone(UTC).date()) == midnight
    return first if fits else midnight - timedelta(days=1)


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Whether the run is of type backfill. Such runs never change what is served."""
    return run_type(context) == "backfill"


def run_type(context: Mapping[str, Any]) -> str:
    """The run's type: backfill, scheduled, manual, ..."""
    return str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type))


def run_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """The values that identify the DAG run on the ledger."""
    ti = context["ti"]
    return {"dag": ti.dag_id, "dag_run": ti.run_id, "kind": run_type(context), "day": first_day(context)}


def now() -> datetime:
    return datetime.now(UTC)


def _dated(context: Mapping[str, Any]) -> datetime | None:
    """The midnight that the run's dates name; None for a run without dates."""
    if given := _form_value(context):
        return _midnight(_date("read the parameter as_of", given))
    if key := getattr(context["dag_run"], "partition_key", None):
        return _midnight(_date("read the partition key", key)) + timedelta(days=1)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and end > start:
        return _midnight(end.astimezone(UTC).date())
    return None


def _form_value(context: Mapping[str, Any]) -> Any:
    return context.get("params", {}).get("as_of")


def _declared(task: Any) -> Iterator[timedelta]:
    if isinstance(delay := getattr(task, "source_delay", None), timedelta):
        yield delay
    elif hasattr(getattr(task, "operator_class", None), "source_delay"):
        # A mapped task has arguments but no operator yet.
        yield delay_of(task.partial_kwargs.get("delay"))


def _incomplete(midnight: datetime, delay: timedelta) -> ConfigurationError:
    last = _midnight((now() - delay).date())
    day, known = midnight - timedelta(days=1), midnight + delay
    late = f", with its source's delay of {delay}" if delay else ""
    return ConfigurationError(
        "run",
        f"as of {midnight:%Y-%m-%d}",
        got=f"the day {day:%Y-%m-%d} is complete from {known:%Y-%m-%d %H:%M} UTC on{late}",
        expected=f"{last:%Y-%m-%d} or earlier",
        remedy="Rows that arrive later would be missing from that day. Run it after that, or name an earlier as_of.",
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
