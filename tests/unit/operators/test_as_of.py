from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from sailplane.errors import ConfigurationError
from sailplane.operators.as_of import as_of, first_day, is_backfill, run_of

NOON = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


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
                "data_interval_start": datetime(2026, 11, 15, tzinfo=UTC),
                "data_interval_end": datetime(2026, 11, 22, tzinfo=UTC),
            },
            datetime(2026, 11, 15, tzinfo=UTC),
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
