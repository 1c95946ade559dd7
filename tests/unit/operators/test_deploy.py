from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators import DeployModelOperator
from sailplane.records import Dataset, Evaluation, Interval, Run
from sailplane.registry.models import alias

AS_OF = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Interval.trailing(AS_OF, 28)


def evaluation(*, passed: bool) -> dict:
    dataset = Dataset(name="d", version="v", uri="file:///d", interval=WINDOW, rows=1, quarantined=0, schema=())
    run = Run(
        id="r",
        model="quiet",
        config={},
        seed=0,
        dataset=dataset,
        as_of=AS_OF,
        metrics={},
        bundle="file:///b",
        seconds=1.0,
    )
    return Evaluation(
        model="quiet",
        run=run,
        window=WINDOW,
        rows=7,
        metrics={"challenger": {"auc": 0.5}},
        champion=None,
        passed=passed,
        reasons=("auc 0.5; expected at least 0.55",),
    ).to_dict()


class TaskInstance:
    def __init__(self) -> None:
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


def execute(values: dict, run_type: str) -> TaskInstance:
    ti = TaskInstance()
    operator = DeployModelOperator(task_id="deploy", evaluation=values)
    with pytest.raises(AirflowSkipException, match="Nothing is deployed"):
        operator.execute({"ti": ti, "dag_run": SimpleNamespace(run_type=run_type)})
    return ti


def test_a_verdict_against_the_model_deploys_nothing_and_says_why():
    ti = execute(evaluation(passed=False), "scheduled")
    assert ti.pushed["reasons"] == ["auc 0.5; expected at least 0.55"]
    assert alias(Ledger.at(Home.find()), "quiet", "champion") is None


def test_a_backfill_deploys_nothing_however_good_the_model_is():
    ti = execute(evaluation(passed=True), "backfill")
    assert ti.pushed["reasons"][0] == "a backfill never changes what is served"
    assert alias(Ledger.at(Home.find()), "quiet", "champion") is None
