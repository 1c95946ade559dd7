from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sailplane.evaluation.history import Judged, amend, counted_gains, first_gains, keep, verdicts
from sailplane.ledger import Ledger
from sailplane.records import Approval, Dataset, Evaluation, Interval, Model, Run
from tests.homes import new_ledger

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
OCTOBER = Interval(start=FIRST, end=FIRST + timedelta(days=31))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def judged(number: int, *, model: str = "toy", auc: float = 0.7, **changes: str) -> Judged:
    day = FIRST + timedelta(days=number)
    as_of = day + timedelta(days=1)
    window = Interval.trailing(as_of, 28)
    dataset = Dataset(name="d", version="v", uri="file:///d", interval=window, rows=1, quarantined=0, schema=())
    measured = {"challenger": {"auc": auc}}
    run = Run(
        id=f"{model}/{as_of:%Y-%m-%d}/train",
        model=model,
        config={},
        seed=0,
        dataset=dataset,
        as_of=as_of,
        metrics={},
        bundle="file:///b",
        seconds=1.0,
    )
    evaluation = Evaluation(
        model=model, run=run, window=window, rows=7, metrics=measured, champion=None, passed=True, reasons=()
    )
    values = {"dag": "toy", "dag_run": f"backfill__{day:%Y-%m-%d}", "kind": "backfill"} | changes
    return Judged(day=day, evaluation=evaluation, gate={"minimum": 0.6}, **values)


def test_a_verdict_is_kept_whole(ledger: Ledger) -> None:
    keep(ledger, judged(0))
    assert verdicts(ledger, "toy", OCTOBER) == (judged(0),)


def test_a_retry_or_a_clear_takes_the_place_of_what_its_run_gave_before(ledger: Ledger) -> None:
    for auc in (0.7, 0.8, 0.8):
        keep(ledger, judged(0, auc=auc))
    assert verdicts(ledger, "toy", OCTOBER) == (judged(0, auc=0.8),)


def test_runs_of_other_dags_and_models_are_kept_beside_it(ledger: Ledger) -> None:
    others = (judged(0, model="other"), judged(0, dag_run="manual__1"), judged(0, dag="another"))
    for one in (judged(0), *others):
        keep(ledger, one)
    assert verdicts(ledger, "toy", OCTOBER) == (judged(0), *others[:2])
    assert verdicts(ledger, "another", OCTOBER) == (others[2],)


def test_the_verdicts_of_a_range_of_days_come_in_the_order_of_their_as_of(ledger: Ledger) -> None:
    for number in (3, 0, 31, -1, 30):
        keep(ledger, judged(number))
    assert verdicts(ledger, "toy", OCTOBER) == tuple(judged(number) for number in (0, 3, 30))


def test_what_a_person_answered_is_added_to_the_verdict(ledger: Ledger) -> None:
    keep(ledger, judged(0))
    keep(ledger, judged(1))
    answer = Approval(approved=False, by="Ada", note="too small", at=FIRST)
    answered = replace(judged(0).evaluation, approval=answer)
    amend(ledger, "toy", "backfill__2026-10-01", answered)
    first, second = verdicts(ledger, "toy", OCTOBER)
    assert first == replace(judged(0), evaluation=answered)
    assert second == judged(1)


CHAMPION = Model(name="toy", version="v1", uri="file:///m", digest="d", run="r", dataset="d", as_of=FIRST)


def looked(number: int, gain: float, **changes: Any) -> Judged:
    """A scheduled verdict over three days against the champion; each of its days has this gain."""
    version, metric = changes.pop("champion", "v1"), changes.pop("metric", "auc")
    as_of = changes.pop("as_of", None)
    found = judged(number, **{"kind": "scheduled", "dag_run": f"scheduled__{number}", **changes})
    days = [found.day - timedelta(days=back) for back in range(3)]
    run = replace(found.evaluation.run, as_of=as_of or found.evaluation.run.as_of)
    gains = {f"{day:%Y-%m-%d}": gain for day in days}
    evaluation = replace(found.evaluation, champion=version, day_gains=gains, run=run)
    return replace(found, evaluation=evaluation, gate={"metric": metric})


def gains(ledger: Ledger, number: int, metric: str = "auc", dag_run: str = "now") -> list[tuple[str, float]]:
    as_of = FIRST + timedelta(days=number + 1)
    return list(counted_gains(ledger, CHAMPION, metric, as_of=as_of, dag="toy", dag_run=dag_run).items())


def test_each_day_is_counted_once_in_order_by_the_evaluation_that_saw_it_first(ledger: Ledger) -> None:
    for number, gain in [(5, 0.5), (3, 0.3), (4, 0.4)]:
        keep(ledger, looked(number, gain))
    expected = [("2026-10-02", 0.3), ("2026-10-03", 0.3), ("2026-10-04", 0.3), ("2026-10-05", 0.4)]
    assert gains(ledger, 4) == expected, "no later than the as-of"
    assert gains(ledger, 9) == [*expected, ("2026-10-06", 0.5)]


def test_a_retry_counts_the_same_days_as_the_first_try(ledger: Ledger) -> None:
    keep(ledger, looked(3, 0.3))
    before = gains(ledger, 4, dag_run="scheduled__4")
    keep(ledger, looked(4, 0.4))
    assert gains(ledger, 4, dag_run="scheduled__4") == before
    assert len(gains(ledger, 4)) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "backfill"},
        {"champion": "v0"},
        {"champion": None},
        {"metric": "brier"},
        {"model": "other"},
        {"as_of": FIRST - timedelta(days=1)},
    ],
    ids=["a backfill", "another champion", "no champion", "another metric", "another model", "before the champion"],
)
def test_what_says_nothing_of_the_pipeline_and_this_champion_is_not_counted(
    ledger: Ledger, other: dict[str, Any]
) -> None:
    keep(ledger, looked(3, 0.3, dag_run="manual__1", dag="another", kind="manual"))
    expected = gains(ledger, 9)
    assert len(expected) == 3, "any DAG that judges the model counts"
    keep(ledger, looked(8, 0.8, **other))
    assert gains(ledger, 9) == expected


def test_without_a_champion_no_day_is_counted(ledger: Ledger) -> None:
    keep(ledger, looked(3, 0.3))
    assert counted_gains(ledger, None, "auc", as_of=FIRST + timedelta(days=9), dag="toy", dag_run="now") == {}


def test_a_verdict_of_an_earlier_release_without_gains_counts_no_day(ledger: Ledger) -> None:
    old = judged(3, kind="scheduled")
    assert "day_gains" not in old.evaluation.to_dict()
    keep(ledger, replace(old, evaluation=replace(old.evaluation, champion="v1")))
    assert gains(ledger, 9) == []


def first(ledger: Ledger, run: Run, **changes: Any) -> dict[str, float]:
    given = {"champion": CHAMPION, "metric": "auc", "dag": "toy", "dag_run": "scheduled__3", **changes}
    return first_gains(ledger, given.pop("champion"), given.pop("metric"), run, **given)


def test_a_cleared_run_has_the_gains_of_its_first_verdict_on_the_same_data_and_code(ledger: Ledger) -> None:
    keep(ledger, looked(3, 0.3))
    run, days = looked(3, 0.3).evaluation.run, ["2026-10-02", "2026-10-03", "2026-10-04"]
    assert first(ledger, run) == dict.fromkeys(days, 0.3)
    assert first(ledger, replace(run, seed=7, trial=4, config={"rate": 0.1}, digest="other")) == first(ledger, run)


@pytest.mark.parametrize(
    "changes",
    [{"champion": None}, {"champion": replace(CHAMPION, version="v2")}, {"metric": "brier"}, {"dag_run": "manual__1"}],
    ids=["no champion", "another champion", "another metric", "another run"],
)
def test_another_question_has_no_first_gains(ledger: Ledger, changes: dict[str, Any]) -> None:
    keep(ledger, looked(3, 0.3))
    assert first(ledger, looked(3, 0.3).evaluation.run, **changes) == {}


def test_new_data_or_new_code_is_judged_anew(ledger: Ledger) -> None:
    keep(ledger, looked(3, 0.3))
    run = looked(3, 0.3).evaluation.run
    for other in [
        replace(run, dataset=replace(run.dataset, version="corrected")),
        replace(run, code="edited"),
        replace(run, train="include.toy.model:other"),
    ]:
        assert first(ledger, other) == {}
