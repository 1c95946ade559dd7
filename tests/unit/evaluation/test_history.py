from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sailplane.evaluation.history import Judged, amend, keep, of
from sailplane.ledger import Ledger
from sailplane.records import Approval, Dataset, Evaluation, Interval, Run

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
OCTOBER = Interval(start=FIRST, end=FIRST + timedelta(days=31))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")


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
    assert of(ledger, "toy", OCTOBER) == (judged(0),)


def test_a_retry_or_a_clear_takes_the_place_of_what_its_run_gave_before(ledger: Ledger) -> None:
    for auc in (0.7, 0.8, 0.8):
        keep(ledger, judged(0, auc=auc))
    assert of(ledger, "toy", OCTOBER) == (judged(0, auc=0.8),)


def test_runs_of_other_dags_and_models_are_kept_beside_it(ledger: Ledger) -> None:
    others = (judged(0, model="other"), judged(0, dag_run="manual__1"), judged(0, dag="another"))
    for one in (judged(0), *others):
        keep(ledger, one)
    assert of(ledger, "toy", OCTOBER) == (judged(0), *others[:2])
    assert of(ledger, "another", OCTOBER) == (others[2],)


def test_the_verdicts_of_a_range_of_days_come_in_the_order_of_their_as_of(ledger: Ledger) -> None:
    for number in (3, 0, 31, -1, 30):
        keep(ledger, judged(number))
    assert of(ledger, "toy", OCTOBER) == tuple(judged(number) for number in (0, 3, 30))


def test_what_a_person_answered_is_added_to_the_verdict(ledger: Ledger) -> None:
    keep(ledger, judged(0))
    keep(ledger, judged(1))
    answer = Approval(approved=False, by="Ada", note="too small", at=FIRST)
    answered = replace(judged(0).evaluation, approval=answer)
    amend(ledger, "toy", "backfill__2026-10-01", answered)
    first, second = of(ledger, "toy", OCTOBER)
    assert first == replace(judged(0), evaluation=answered)
    assert second == judged(1)
