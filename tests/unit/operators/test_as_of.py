from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from sailplane.errors import ConfigurationError
from sailplane.operators import IngestDatasetOperator, trigger_form
from sailplane.operators import as_of as stands
from sailplane.operators.as_of import as_of, first_day, is_backfill, run_of
from sailplane.records import Interval

NOON = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The current time, which a test can change."""
    told = SimpleNamespace(now=NOON)
    monkeypatch.setattr(stands, "now", lambda: told.now)
    return told


def context(run_after=NOON, run_type="manual", partition_key=None, **values):
    return {
        "dag_run": SimpleNamespace(run_after=run_after, run_type=run_type, partition_key=partition_key),
        "params": {},
        **values,
    }


def test_a_scheduled_run_stands_at_the_end_of_its_data_interval():
    interval = {
        "data_interval_start": datetime(2026, 11, 20, tzinfo=UTC),
        "data_interval_end": datetime(2026, 11, 21, tzinfo=UTC),
    }
    assert as_of(context(**interval)) == datetime(2026, 11, 21, tzinfo=UTC)


def test_an_empty_interval_says_nothing_and_the_last_midnight_counts():
    interval = {"data_interval_start": NOON, "data_interval_end": NOON}
    assert as_of(context(**interval)) == datetime(2026, 11, 21, tzinfo=UTC)


def test_a_run_without_any_date_stands_at_the_midnight_before_it_was_due():
    assert as_of(context()) == datetime(2026, 11, 21, tzinfo=UTC)


def test_a_partition_is_known_at_the_end_of_its_day():
    assert as_of(context(partition_key="2026-11-20")) == datetime(2026, 11, 21, tzinfo=UTC)


def test_the_trigger_form_overrules_everything():
    run = context(partition_key="2026-11-20", params={"as_of": "2026-03-01"})
    assert as_of(run) == datetime(2026, 3, 1, tzinfo=UTC)


def test_an_interval_that_ends_within_a_day_stands_at_that_days_midnight():
    interval = {
        "data_interval_start": datetime(2026, 11, 20, 2, tzinfo=UTC),
        "data_interval_end": datetime(2026, 11, 21, 2, tzinfo=UTC),
    }
    assert as_of(context(**interval)) == datetime(2026, 11, 21, tzinfo=UTC)


def test_a_key_that_is_no_date_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="partition key: 'berlin'; expected a date"):
        as_of(context(partition_key="berlin"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {
                "data_interval_start": datetime(2026, 11, 8, tzinfo=UTC),
                "data_interval_end": datetime(2026, 11, 15, tzinfo=UTC),
            },
            datetime(2026, 11, 8, tzinfo=UTC),
        ),
        ({"data_interval_start": NOON, "data_interval_end": NOON}, datetime(2026, 11, 20, tzinfo=UTC)),
        ({"partition_key": "2026-11-20"}, datetime(2026, 11, 20, tzinfo=UTC)),
        ({}, datetime(2026, 11, 20, tzinfo=UTC)),
        (
            {
                "data_interval_start": datetime(2026, 11, 20, tzinfo=UTC),
                "data_interval_end": datetime(2026, 11, 21, tzinfo=UTC),
                "params": {"as_of": "2026-03-01"},
            },
            datetime(2026, 2, 28, tzinfo=UTC),
        ),
    ],
    ids=["a week", "an empty interval", "a partition", "no dates", "an as-of of the form"],
)
def test_the_first_day_is_that_of_the_interval_that_ends_at_the_as_of(values, expected):
    assert first_day(context(**values)) == expected


def test_the_ledger_knows_a_run_by_its_dag_its_id_its_type_and_its_day():
    ti = SimpleNamespace(dag_id="toy", run_id="manual__1")
    day = datetime(2026, 11, 20, tzinfo=UTC)
    assert run_of(context(ti=ti)) == {"dag": "toy", "dag_run": "manual__1", "kind": "manual", "day": day}


@pytest.mark.parametrize(("run_type", "expected"), [("backfill", True), ("scheduled", False), ("manual", False)])
def test_only_runs_of_type_backfill_are_backfills(run_type, expected):
    assert is_backfill(context(run_type=run_type)) is expected
    assert is_backfill(context(run_type=SimpleNamespace(value=run_type))) is expected


def interval(start: datetime, end: datetime) -> dict[str, datetime]:
    return {"data_interval_start": start, "data_interval_end": end}


def ingesting(**arguments: Any) -> dict[str, Any]:
    """The context of a task in a DAG whose ingest tasks declare these delays."""
    with DAG("delayed", schedule=None) as dag:
        task = IngestDatasetOperator(task_id="ingest", dataset="d", extract="a:b", schema="a:c", time="t", **arguments)
    return {"dag": dag, "task": task}


TOMORROW = {
    "the trigger form": {"params": {"as_of": "2026-11-22"}},
    "conf": {"params": {**trigger_form(window=28, trials=1, workers=1), "as_of": "2030-01-01"}},
    "a partition": {"partition_key": "2026-11-21"},
    "a logical date": interval(MIDNIGHT, MIDNIGHT + timedelta(days=1)),
    "a backfill": {"run_type": "backfill", **interval(MIDNIGHT, MIDNIGHT + timedelta(days=1))},
    "a scheduled run": {"run_type": "scheduled", **interval(MIDNIGHT, MIDNIGHT + timedelta(days=1))},
}


@pytest.mark.parametrize("values", TOMORROW.values(), ids=TOMORROW)
def test_a_day_that_has_not_ended_is_refused_whichever_way_it_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected 2026-11-21 or earlier") as caught:
        as_of(context(**values))
    assert "is complete from" in str(caught.value)


def test_the_first_moment_after_a_day_can_stand_at_its_end(clock: SimpleNamespace) -> None:
    clock.now = MIDNIGHT
    assert as_of(context(params={"as_of": "2026-11-21"})) == MIDNIGHT


@pytest.mark.parametrize("delay", ["13h", timedelta(hours=13)])
@pytest.mark.parametrize(
    "values",
    [{"params": {"as_of": "2026-11-21"}}, {"run_type": "backfill", **interval(MIDNIGHT - timedelta(days=1), MIDNIGHT)}],
)
def test_a_day_whose_source_is_delayed_is_refused_until_the_delay_is_over(clock, values, delay) -> None:
    run = context(**values, **ingesting(delay=delay))
    with pytest.raises(
        ConfigurationError, match="complete from 2026-11-21 13:00 UTC on, with its source's delay of 13:00:00"
    ):
        as_of(run)
    clock.now = MIDNIGHT + timedelta(hours=13)
    assert as_of(run) == MIDNIGHT


def test_a_run_without_dates_stands_at_the_last_complete_day_and_so_do_all_its_tasks() -> None:
    dag = ingesting(delay="13h")["dag"]
    yesterday = MIDNIGHT - timedelta(days=1)
    assert as_of(context(**ingesting(delay="13h"))) == yesterday
    assert as_of(context(dag=dag, task=SimpleNamespace())) == yesterday
    assert as_of(context(**ingesting(delay="12h"))) == MIDNIGHT
    assert first_day(context(**ingesting(delay="13h"))) == yesterday - timedelta(days=1)


def test_the_longest_delay_of_a_dag_counts_also_that_of_a_mapped_task() -> None:
    given = {"extract": "a:b", "schema": "a:c", "time": "t"}
    with DAG("several", schedule=None) as dag:
        IngestDatasetOperator(task_id="one", dataset="d", delay="1h", **given)
        IngestDatasetOperator.partial(task_id="mapped", delay="13h", **given).expand(dataset=["a", "b"])
    assert as_of(context(dag=dag)) == MIDNIGHT - timedelta(days=1)


def test_a_scheduled_run_waits_for_its_source_without_a_worker(clock: SimpleNamespace) -> None:
    given = ingesting(delay="13h")
    run = context(run_type="scheduled", **given, **interval(MIDNIGHT - timedelta(days=1), MIDNIGHT))
    with pytest.raises(TaskDeferred) as deferred:
        given["task"].execute(run)
    assert (deferred.value.trigger.moment, deferred.value.method_name) == (MIDNIGHT + timedelta(hours=13), "resume")
    clock.now = MIDNIGHT + timedelta(hours=13)
    assert stands.waits_until(run) is None
    assert as_of(run) == MIDNIGHT


@pytest.mark.parametrize("delay", ["soon", "6", 6, timedelta(hours=-1)])
def test_malformed_delays_are_refused_when_the_dag_is_parsed(delay: object) -> None:
    with pytest.raises(ConfigurationError, match=r'read delay: .*like "5m"'):
        ingesting(delay=delay)


@pytest.mark.parametrize("asked", ["soon", 20301, date.max])
def test_an_as_of_of_any_type_that_names_no_past_day_is_one_clear_error(asked: object) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        as_of(context(params={"as_of": asked}))


@pytest.mark.parametrize("asked", ["0001-01-01", "0001-03-01", "1699-12-31", "9999-12-31"])
@pytest.mark.parametrize("where", ["params", "partition_key"])
def test_a_date_at_the_end_of_the_calendar_is_refused(asked: str, where: str) -> None:
    given = {"params": {"as_of": asked}} if where == "params" else {"partition_key": asked}
    with pytest.raises(ConfigurationError, match=f"'{asked}'; expected a date like 2026-11-21"):
        as_of(context(**given))


def test_a_window_that_begins_before_the_calendar_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="look back from 1700-01-01: 1000000 days"):
        Interval.trailing(datetime(1700, 1, 1, tzinfo=UTC), 1_000_000)
