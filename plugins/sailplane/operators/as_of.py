"""One function turns a run's context into its as-of; every operator uses it. Nothing reads past it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sailplane.errors import ConfigurationError


def as_of(context: Mapping[str, Any]) -> datetime:
    """The midnight (UTC) at which this run stands: all days before it are known, none after it is.

    In this order: the trigger form's `as_of`; the end of the partition's day; the end of the data interval if it is
    not empty (`"@daily"` gives an empty one); else the last midnight before the run was due, so that a run without
    dates (triggered by an asset, or by the API with a null logical date) is as of today.
    """
    if asked := context.get("params", {}).get("as_of"):
        return _midnight(_date("read the parameter as_of", asked))
    run = context["dag_run"]
    if key := getattr(run, "partition_key", None):
        return _midnight(_date("read the partition key", key)) + timedelta(days=1)
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is not None and end is not None and end > start:
        return _midnight(end.astimezone(UTC).date())
    return _midnight(run.run_after.astimezone(UTC).date())


def first_day(context: Mapping[str, Any]) -> datetime:
    """The midnight at which the run's data interval begins; the one before the as-of where that is not its end."""
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
    """By what the ledger knows the DAG run."""
    ti = context["ti"]
    return {"dag": ti.dag_id, "dag_run": ti.run_id, "kind": run_type(context), "day": first_day(context)}


def _date(failed: str, value: str) -> date:
    try:
        return date.fromisoformat(value[:10])
    except ValueError as error:
        raise ConfigurationError(failed, got=repr(value), expected="a date like 2026-11-21") from error


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
