from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sailplane.evaluation.history import keep, verdicts
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators import EvaluateModelOperator, Gate
from sailplane.records import Evaluation, Interval, Run
from sailplane.registry import models
from sailplane.storage import Storage
from tests.homes import new_home
from tests.integration.evaluation.past import DAY, FIRST, judged, trained


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return trained(Storage(new_home().store), tmp_path / "bundles", FIRST + DAY, noise=0.5)


def judge(run: Run, run_id: str, run_type: str = "backfill", gate: Gate | None = None) -> Evaluation:
    context: dict[str, Any] = {
        "ti": SimpleNamespace(dag_id="toy", run_id=run_id),
        "dag_run": SimpleNamespace(run_type=run_type, run_after=FIRST + DAY, partition_key=None),
        "data_interval_start": FIRST,
        "data_interval_end": FIRST + DAY,
    }
    baseline = {**run.to_dict(), "baseline": run.bundle}
    operator = EvaluateModelOperator(
        task_id="evaluate", challenger=run.to_dict(), baseline=baseline, gate=gate or Gate(minimum=0.6)
    )
    return Evaluation.from_dict(operator.execute(context))


def test_the_ledger_keeps_the_verdict_of_each_dag_run_once(run: Run) -> None:
    told = [judge(run, "backfill__1"), judge(run, "backfill__1"), judge(run, "manual__1", "manual")]
    first, second = verdicts(
        Ledger.create(Home.find().ledger), "toy", Interval(start=FIRST, end=FIRST + timedelta(days=1))
    )
    assert (first.dag_run, first.kind, first.day, first.evaluation) == ("backfill__1", "backfill", FIRST, told[1])
    assert (second.dag_run, second.kind, second.evaluation) == ("manual__1", "manual", told[2])
    assert first.gate["minimum"] == 0.6, "a backtest judges by what the DAG declared"


def test_the_days_of_earlier_evaluations_against_the_champion_are_evidence_too(run: Run, tmp_path: Path) -> None:
    """There are three earlier evaluations, each with one day before the window of this one."""
    ledger, storage = Ledger.create(Home.find().ledger), Storage(Home.find().store)
    poor = trained(storage, tmp_path / "poor", FIRST - 3 * DAY, noise=1.0)
    champion = models.register(ledger, storage, poor)
    models.promote(ledger, "toy", champion.version)
    gate = Gate(confidence=0.95)
    alone = judge(run, "scheduled__0", "scheduled", gate)
    assert list(alone.day_gains) == [f"{FIRST - back * DAY:%Y-%m-%d}" for back in range(6, -1, -1)]
    assert "from 7 days" in alone.rules[1].got
    for number in (-3, -2, -1):
        found = judged(storage, tmp_path / "bundles", number, 0.0, kind="scheduled", dag_run=f"scheduled__{number}")
        early = f"{found.day - 6 * DAY:%Y-%m-%d}"
        evaluation = replace(found.evaluation, champion=champion.version, day_gains={early: 0.05})
        keep(ledger, replace(found, evaluation=evaluation))
    whole = judge(run, "scheduled__0", "scheduled", gate)
    assert "from 10 days" in whole.rules[1].got
    assert whole.day_gains == alone.day_gains
    assert judge(run, "scheduled__0", "scheduled", gate) == whole, "a retry counts no day twice"


def test_a_clear_gives_a_lucky_model_no_second_chance_but_new_code_does(run: Run, tmp_path: Path) -> None:
    ledger, storage = Ledger.create(Home.find().ledger), Storage(Home.find().store)
    champion = models.register(ledger, storage, trained(storage, tmp_path / "champion", FIRST - 3 * DAY, noise=2.0))
    models.promote(ledger, "toy", champion.version)
    gate = Gate(confidence=0.95)
    poor = trained(storage, tmp_path / "poor", FIRST + DAY, noise=3.0)
    before = judge(poor, "scheduled__0", "scheduled", gate)
    lucky = trained(storage, tmp_path / "lucky", FIRST + DAY, noise=0.0)
    other = judge(lucky, "manual__1", "manual", gate)
    assert (other.passed, other.day_gains) == (False, {}), "another run of the same day counts none of them"
    again = judge(lucky, "scheduled__0", "scheduled", gate)
    assert (again.passed, again.day_gains) == (False, before.day_gains)
    assert "e = " in again.rules[1].got
    assert again.rules[1].got.split("; ")[1] == before.rules[1].got.split("; ")[1], "the same evidence"
    assert "this run was judged before on the same data and code" in again.reasons[-1]
    assert judge(lucky, "scheduled__0", "scheduled", gate) == again, "a retry says the same"
    mended = judge(replace(lucky, code="edited"), "scheduled__0", "scheduled", gate)
    assert (mended.passed, mended.day_gains == before.day_gains) == (True, False)
    assert not any("judged before" in reason for reason in mended.reasons)
