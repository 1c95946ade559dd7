from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sailplane.evaluation.history import of
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators import EvaluateModelOperator, Gate
from sailplane.records import Evaluation, Interval, Run
from sailplane.storage import Storage
from tests.homes import new_home
from tests.integration.evaluation.past import DAY, FIRST, trained


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return trained(Storage(new_home().store), tmp_path / "bundles", FIRST + DAY, noise=0.5)


def judge(run: Run, run_id: str, run_type: str = "backfill") -> Evaluation:
    context: dict[str, Any] = {
        "ti": SimpleNamespace(dag_id="toy", run_id=run_id),
        "dag_run": SimpleNamespace(run_type=run_type, run_after=FIRST + DAY, partition_key=None),
        "data_interval_start": FIRST,
        "data_interval_end": FIRST + DAY,
    }
    baseline = {**run.to_dict(), "baseline": run.bundle}
    operator = EvaluateModelOperator(
        task_id="evaluate", challenger=run.to_dict(), baseline=baseline, gate=Gate(minimum=0.6)
    )
    return Evaluation.from_dict(operator.execute(context))


def test_the_ledger_keeps_the_verdict_of_each_dag_run_once(run: Run) -> None:
    told = [judge(run, "backfill__1"), judge(run, "backfill__1"), judge(run, "manual__1", "manual")]
    first, second = of(Ledger.create(Home.find().ledger), "toy", Interval(start=FIRST, end=FIRST + timedelta(days=1)))
    assert (first.dag_run, first.kind, first.day, first.evaluation) == ("backfill__1", "backfill", FIRST, told[1])
    assert (second.dag_run, second.kind, second.evaluation) == ("manual__1", "manual", told[2])
    assert first.gate["minimum"] == 0.6, "a backtest judges by what the DAG declared"
