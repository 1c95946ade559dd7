"""The tasks `evaluate` and `deploy` with a model whose feature code fails on the test rows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from sailplane.datasets import ingest
from sailplane.evaluation.history import verdicts
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators import DeployModelOperator, EvaluateModelOperator
from sailplane.records import Evaluation, Interval
from sailplane.registry.models import alias
from sailplane.storage import Storage
from tests.homes import new_home
from tests.unit.evaluation.toy import AS_OF, FEATURES, SCHEMA, Toy, extract

DAY = timedelta(days=1)
UNSCORED = FEATURES.replace("    height =", '    if len(frame) > 9:\n        raise KeyError("mauve")\n    height =', 1)


class TaskInstance:
    dag_id, run_id, task_id, max_tries = "toy", "scheduled__1", "deploy", 0

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy project in the home that the tasks find."""
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    home = new_home()
    storage, interval = Storage(home.store), Interval.trailing(AS_OF, 28)
    dataset = ingest(storage, name="toy", extract=extract, schema=SCHEMA, time="time", interval=interval)
    return Toy(storage, Ledger.create(home.ledger), dataset, tmp_path)


def context() -> dict[str, Any]:
    days = {"data_interval_start": AS_OF - DAY, "data_interval_end": AS_OF, "params": {}}
    run = SimpleNamespace(run_type="scheduled", run_after=AS_OF, partition_key=None)
    return {"ti": TaskInstance(), "dag_run": run, **days}


def test_the_run_goes_on_and_says_why_nothing_is_deployed(toy: Toy) -> None:
    run = toy.train("new", features=UNSCORED).to_dict()
    judged = EvaluateModelOperator(task_id="evaluate", challenger=run, baseline=run).execute(context())
    evaluation = Evaluation.from_dict(judged)
    reason = "failed: serves: KeyError: 'mauve', expected a score for every test row"
    assert (evaluation.passed, evaluation.reasons) == (False, (reason,))
    assert "mauve" in toy.storage.get(toy.storage.path(evaluation.report or "")).decode()
    (kept,) = verdicts(toy.ledger, "toy", Interval(start=AS_OF - DAY, end=AS_OF))
    assert kept.evaluation == evaluation

    told = context()
    with pytest.raises(AirflowSkipException, match="KeyError: 'mauve'"):
        DeployModelOperator(task_id="deploy", evaluation=judged).execute(told)
    assert told["ti"].pushed["reasons"] == [reason]
    assert alias(Ledger.at(Home.find()), "toy", "champion") is None
