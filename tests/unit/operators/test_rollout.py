from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from sailplane.deployment.local.model_process import on_violation_file
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.rollout.state import State
from sailplane.errors import ConfigurationError, DeploymentError, ServiceError
from sailplane.home import Home
from sailplane.operators import DeployModelOperator, ErrorRate, EvaluateModelOperator, Rollout, deploy
from sailplane.records import Deployment
from sailplane.registry import holds
from sailplane.serving import violations
from sailplane.storage import Storage
from tests.homes import new_ledger
from tests.unit.bundles import tiny
from tests.unit.deployment.rollout.simulated_target import CHAMPION, Clock, Place, register, serving_at

PLAN = Rollout(steps=[10, 100], bake="5s", min_requests=5, checks=[ErrorRate(maximum=0.2)])


class Task:
    """The deploy task of one run, as Airflow executes it. `clears` counts how often a person cleared it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        home = Home.find()
        storage = Storage(home.store)
        self.name = f"rolled{uuid4().hex[:8]}"
        run = tiny.run_of(tiny.bundle(folder / "run", run=self.name, model=self.name), storage)
        self.evaluation = tiny.evaluation_of(run)
        self.place, self.clears = Place(), 0
        self.serving = serving_at(self.place, new_ledger(home.ledger), Clock(step=0.1), self.name)
        monkeypatch.setattr(ModelEndpoint, "local", lambda *_: self.serving)
        self.pushed: dict[str, Any] = {}

    @property
    def context(self) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id="d", run_id="r", task_id="deploy", max_tries=2 + 3 * self.clears, xcom_push=self._push
        )
        return {"ti": ti, "dag_run": SimpleNamespace(run_type="scheduled")}

    def _push(self, key: str, value: object) -> None:
        self.pushed[key] = value

    @property
    def operator(self) -> DeployModelOperator:
        return DeployModelOperator(task_id="deploy", evaluation=self.evaluation.to_dict(), rollout=PLAN)

    def execute(self) -> dict[str, Any]:
        return self.operator.execute(self.context)

    def deferred(self) -> dict[str, Any]:
        """Returns the arguments of the trigger."""
        with pytest.raises(TaskDeferred) as parked:
            self.execute()
        assert parked.value.method_name == "execute_complete"
        return dict(parked.value.trigger.serialize()[1]["subject"])

    def drive(self, version: str, *, failing: float = 0.0) -> State:
        driver = self.serving.driver(version)
        while True:
            self.place.serve(100, failing=failing)
            state = driver.tick()
            if state is not None and state.ended:
                return state


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    return Task(tmp_path, monkeypatch)


def test_the_task_waits_without_a_worker_and_then_returns_what_is_served(task: Task) -> None:
    given = task.deferred()
    assert (given["name"], given["owner"], given["turn"]) == (task.name, "d r deploy", "2")
    assert task.place.done == [f"begin {given['version']}"]
    task.drive(given["version"])
    event = {"model": task.name, "version": given["version"], "phase": "succeeded"}
    returned = Deployment.from_dict(task.operator.execute_complete(task.context, event))
    assert (returned.name, returned.weights) == (task.name, {given["version"]: 100})
    assert returned.endpoint == "http://x"


def test_a_retry_goes_on_and_after_the_end_changes_nothing(task: Task) -> None:
    version = task.deferred()["version"]
    driver = task.serving.driver(version)
    while task.serving.entry(version).state.phase != "baking":
        driver.tick()
    driver.release()
    assert task.deferred()["version"] == version
    task.serving.clock.now += 60  # type: ignore[attr-defined]
    task.drive(version)
    done = list(task.place.done)
    assert done.count("move 10") == 1
    assert task.execute()["version"] == version
    assert task.place.done == done


@pytest.mark.slow
def test_a_version_that_was_rolled_back_fails_the_task_for_good_until_it_is_cleared(task: Task) -> None:
    version = task.deferred()["version"]
    state = task.drive(version, failing=0.9)
    event = {"model": task.name, "version": version, "phase": "failed"}
    with pytest.raises(AirflowFailException, match=r"was rolled back: error rate: 0\.9000"):
        task.operator.execute_complete(task.context, event)
    assert task.pushed["reasons"] == [state.reason]
    done = list(task.place.done)
    with pytest.raises(AirflowFailException, match="was rolled back"):
        task.execute()
    assert task.place.done == done
    task.clears = 1
    assert task.deferred()["version"] == version
    assert task.drive(version).phase == "succeeded"


def test_a_target_that_stayed_away_is_an_error_that_a_retry_may_mend(task: Task) -> None:
    with pytest.raises(ServiceError, match=r"nobody answers\. A retry continues where it stopped\."):
        task.operator.execute_complete(task.context, {"error": "nobody answers"})


def test_a_rollout_is_declared_in_the_dag_with_a_person_before_it_or_not() -> None:
    for approve in (False, True):
        with DAG("wired", schedule=None) as dag:
            deploy(EvaluateModelOperator(task_id="evaluate", challenger={}, baseline={}), approve=approve, rollout=PLAN)
        assert dag.get_task("deploy").rollout == PLAN
        assert dag.get_task("deploy").upstream_task_ids == {"approve" if approve else "evaluate"}
        assert DagSerialization.to_dict(dag)


def test_what_is_no_rollout_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ConfigurationError, match=r"read the rollout of deploy: '5m'; expected Rollout\(\.\.\.\)"):
        DeployModelOperator(task_id="deploy", evaluation={}, rollout="5m")  # type: ignore[arg-type]


def test_the_champion_that_the_place_serves_is_what_it_goes_back_to(task: Task) -> None:
    version = task.deferred()["version"]
    assert task.serving.entry(version).subject.champion == CHAMPION


def test_clearing_a_task_during_its_rollout_takes_it_back_and_begins_anew(task: Task) -> None:
    version = task.deferred()["version"]
    driver = task.serving.driver(version)
    while task.serving.entry(version).state.phase != "baking":
        driver.tick()
    task.clears = 1
    assert task.deferred()["turn"] == "5"
    assert task.place.done[-3:] == ["move 0", f"stop {version}", f"begin {version}"]
    assert task.serving.entry(version).attempt == 2


def test_without_a_rollout_nothing_is_deployed_over_a_running_one(task: Task) -> None:
    task.deferred()
    refusal = rf"deploy {task.name}: a rollout of .* is running \(starting\), started by d r"
    with pytest.raises(DeploymentError, match=refusal):
        DeployModelOperator(task_id="deploy", evaluation=task.evaluation.to_dict()).execute(task.context)


def without_rollout(task: Task) -> DeployModelOperator:
    return DeployModelOperator(task_id="deploy", evaluation=task.evaluation.to_dict(), on_violation="flag")


def test_without_a_rollout_the_task_serves_the_model_and_a_second_time_changes_nothing(task: Task) -> None:
    returned = Deployment.from_dict(without_rollout(task).execute(task.context))
    version = returned.version
    assert (returned.weights, returned.endpoint, returned.on_violation) == ({version: 100}, "http://x", "flag")
    assert task.place.done == [f"begin {version}", "move 100", f"stop {CHAMPION}"]
    assert violations.declared(on_violation_file(Home.find(), task.name)) == "flag"
    again = replace(task.evaluation, champion=version)
    DeployModelOperator(task_id="deploy", evaluation=again.to_dict()).execute(task.context)
    assert task.place.weights == {version: 100}
    assert "move 100" not in task.place.done[3:]


def test_a_rollback_while_the_task_is_at_work_without_a_rollout_skips_it(task: Task) -> None:
    register(task.serving.ledger, CHAMPION, name=task.name)
    task.evaluation = replace(task.evaluation, champion=CHAMPION)

    def meanwhile(verb: str) -> None:
        if verb == "begin":
            task.place.after = lambda _verb: None
            roll_back(task.serving, "ada")

    task.place.after = meanwhile
    with pytest.raises(AirflowSkipException, match=f"`sailplane release {task.name}`"):
        without_rollout(task).execute(task.context)
    assert list(task.place.running) == [CHAMPION]
    assert "ada rolled back" in task.pushed["reasons"][0]


def test_a_rollback_by_a_person_fails_the_task_and_a_clear_is_skipped_until_the_model_is_released(task: Task) -> None:
    register(task.serving.ledger, CHAMPION, name=task.name)
    task.evaluation = replace(task.evaluation, champion=CHAMPION)
    version = task.deferred()["version"]
    assert roll_back(task.serving, "ada") == CHAMPION
    with pytest.raises(AirflowFailException, match="was rolled back: rolled back by ada"):
        task.execute()
    task.clears = 1
    done = list(task.place.done)
    with pytest.raises(AirflowSkipException, match=f"`sailplane release {task.name}`"):
        task.execute()
    assert f"ada rolled back {version} to v1" in task.pushed["reasons"][0]
    assert task.place.done == done
    holds.release(task.serving.ledger, task.name)
    assert task.deferred()["version"] == version


def test_a_rollback_between_the_tasks_look_and_its_rollout_skips_it(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(task.serving.ledger, CHAMPION, name=task.name)
    task.evaluation = replace(task.evaluation, champion=CHAMPION)
    registered = DeployModelOperator._registered

    def meanwhile(*given: Any) -> Any:
        with task.serving.ledger.begin() as connection:
            holds.hold_within(connection, holds.Hold(task.name, 1.0, "ada", "v0", CHAMPION))
        return registered(*given)

    monkeypatch.setattr(DeployModelOperator, "_registered", meanwhile)
    with pytest.raises(AirflowSkipException, match="when ada rolled back v0 to v1"):
        task.execute()
    assert task.place.done == []
