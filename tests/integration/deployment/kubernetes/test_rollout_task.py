"""A rollout on a cluster through the task and the trigger of Airflow, with a rollback by one command."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from sailplane.bundles.bundle import Bundle
from sailplane.connections import deploy, rollback
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.kubernetes.recorded import latest
from sailplane.deployment.rollout import records, repository
from sailplane.evaluation.history import Judged, keep
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators import DeployModelOperator, ErrorRate, Rollout
from sailplane.records import Offer
from sailplane.registry import holds
from sailplane.registry.models import alias
from sailplane.storage import Storage
from sailplane.triggers.rollout import RolloutTrigger
from tests.integration.deployment.kubernetes.conftest import NAME, V1, answering
from tests.integration.deployment.kubernetes.mesh import FAULTY, Mesh
from tests.kubernetes.seldon import DEPLOYMENTS, SELDON_DEPLOYMENTS
from tests.kubernetes.working import Working
from tests.kubernetes_server import Fault, KubernetesServer
from tests.unit.bundles import tiny

PLAN = Rollout(shadow="500ms", steps=[30, 100], bake="1s", min_requests=5, checks=[ErrorRate(maximum=0.2)])


class Task:
    """The deploy task of a run, as Airflow executes it, and its trigger."""

    def __init__(self, server: KubernetesServer, storage: Storage) -> None:
        self.server, self.storage, self.pushed = server, storage, {}
        self.mesh = Mesh(server, NAME)

    def execute(self, bundle: Bundle, rollout: Rollout | None = PLAN) -> dict[str, Any] | RolloutTrigger:
        """Returns the task's result, or the trigger for which it waits, as the triggerer gets it."""
        found = tiny.evaluation_of(tiny.run_of(bundle, self.storage))
        champion = alias(self.ledger, NAME, "champion")
        evaluation = found.to_dict() | {"champion": champion.version if champion else None}
        self.operator = DeployModelOperator(
            task_id="deploy", evaluation=evaluation, rollout=rollout, target="kubernetes", seldon=V1, conn_id="cluster"
        )
        try:
            return self.operator.execute(self.context)
        except TaskDeferred as parked:
            return again(parked.trigger)

    @property
    def context(self) -> Any:
        push = lambda key, value: self.pushed.update({key: value})  # noqa: E731
        ti = SimpleNamespace(dag_id="d", run_id="r", task_id="deploy", max_tries=2, xcom_push=push)
        return {"ti": ti, "dag_run": SimpleNamespace(run_type="scheduled")}

    @property
    def ledger(self) -> Ledger:
        return Ledger.create(Home.find().ledger)

    @property
    def champion(self) -> str | None:
        found = alias(self.ledger, NAME, "champion")
        return found.version if found else None

    def stage(self) -> str:
        entry = records.active(self.ledger, NAME)
        return entry.state.stage if entry else "none"


def again(trigger: Any) -> RolloutTrigger:
    """Returns the trigger as another triggerer makes it from Airflow's record. It looks more often."""
    path, arguments = json.loads(json.dumps(trigger.serialize()))
    module, _, kind = path.rpartition(".")
    made = getattr(importlib.import_module(module), kind)(**{**arguments, "poll_seconds": 0.05})
    assert isinstance(made, RolloutTrigger)
    return made


def event_of(trigger: Any) -> dict[str, Any]:
    async def collect() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(collect())
    return dict(event)


def until(trigger: Any, over: Callable[[], bool], then: Callable[[], Any] = lambda: None) -> None:
    """Waits for the condition in the trigger's event loop, then cancels the trigger."""

    async def main() -> None:
        async def drive() -> None:
            async for event in trigger.run():
                raise AssertionError(event)

        task = asyncio.create_task(drive())
        while not over():
            await asyncio.sleep(0.01)
            assert not task.done(), task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Before the loop ends, because it waits for its threads.
        then()

    asyncio.run(main())


@pytest.fixture
def task(server: KubernetesServer, on_s3: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """Starts Seldon's operator. The successor of a dead trigger waits only briefly."""
    monkeypatch.setattr(repository, "LEASE_SECONDS", 1.0)
    task = Task(server, on_s3)
    with Working(server.seldon):
        yield task


@pytest.fixture
def served(task: Task, bundles: list[Bundle]) -> Iterator[Task]:
    """Serves the first version, which has no champion to compare with, with all the traffic."""
    trigger = task.execute(bundles[0])
    assert event_of(trigger)["phase"] == "succeeded"
    with task.mesh.asking():
        yield task


def test_a_good_version_takes_over_and_no_worker_waits_for_it(served: Task, bundles: list[Bundle]) -> None:
    one, two, _ = (bundle.version for bundle in bundles)
    trigger = served.execute(bundles[1])
    assert isinstance(trigger, RolloutTrigger)
    event = event_of(trigger)
    assert event == {"model": NAME, "version": two, "phase": "succeeded"}
    returned = served.operator.execute_complete(served.context, event)
    assert returned == {
        "name": NAME,
        "version": two,
        "weights": {two: 100},
        "endpoint": "/seldon/models/flights/api/v1.0/predictions",
        "record_version": 1,
    }
    decided = records.decisions(served.ledger, NAME, two)
    assert [one.after for one in decided] == ["starting", "shadowing", "baking 0", "promoting", "succeeded"]
    assert all(finding.outcome == "passed" and finding.count >= 5 for one in decided[2:4] for finding in one.findings)
    recorded = latest(served.ledger, NAME)
    assert recorded
    assert (recorded.deployment.to_dict(), str(recorded.location)) == (returned, "cluster/models")
    assert served.champion == two
    assert alias(served.ledger, NAME, "previous").version == one  # type: ignore[union-attr]
    (left,) = served.server.objects.list(SELDON_DEPLOYMENTS)
    assert [predictor["name"] for predictor in left["spec"]["predictors"]] == [f"v{two}"]
    assert {status for status, _ in served.mesh.answers} == {200}
    assert served.execute(bundles[1]) == returned, "a retry changes nothing"


def test_a_version_that_fails_fails_the_task_with_the_reasons_and_is_gone(
    served: Task, bundles: list[Bundle], tmp_path: Path
) -> None:
    bad = tiny.bundle(tmp_path / "broken", features=FAULTY, run="broken")
    served.server.service = answering([bundles[0], bad])
    event = event_of(served.execute(bad))
    assert event["phase"] == "failed"
    with pytest.raises(AirflowFailException, match="was rolled back: error rate"):
        served.operator.execute_complete(served.context, event)
    assert served.pushed["reasons"][0].startswith("error rate")
    (left,) = served.server.objects.list(SELDON_DEPLOYMENTS)
    assert [(one["name"], one["traffic"]) for one in left["spec"]["predictors"]] == [(f"v{bundles[0].version}", 100)]
    assert served.champion == bundles[0].version
    assert {*served.mesh.answers} == {(200, f"v{bundles[0].version}")}


def test_a_triggerer_that_dies_is_followed_by_another_one_at_the_same_step(served: Task, bundles: list[Bundle]) -> None:
    until(served.execute(bundles[1]), lambda: served.stage() == "baking 0")
    later = served.execute(bundles[1])
    assert isinstance(later, RolloutTrigger), "a retry of the task waits again"
    assert event_of(later)["phase"] == "succeeded"
    stages = [one.after for one in records.decisions(served.ledger, NAME, bundles[1].version)]
    assert stages == ["starting", "shadowing", "baking 0", "promoting", "succeeded"]


def test_a_cluster_that_hangs_keeps_no_other_trigger_waiting(served: Task, bundles: list[Bundle]) -> None:
    trigger, over, hanging = served.execute(bundles[1]), threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        over.wait(60)

    served.server.faults = [Fault(before=hang)]
    turns = iter(range(1000))
    until(trigger, lambda: hanging.is_set() and served.stage() == "starting" and next(turns) == 50, over.set)


def test_a_token_that_is_put_into_the_connection_anew_is_taken_where_the_old_one_is_refused(
    served: Task, bundles: list[Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = served.execute(bundles[1])
    good = served.server.config()

    def put(config: dict[str, Any]) -> None:
        there = {"conn_type": "kubernetes", "extra": {"kube_config": config}}
        monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps(there))

    def correct() -> None:
        refused = len(served.server.asked)
        assert wait_until(lambda: len(served.server.asked) > refused + 2, seconds=30)
        put(good)

    put(served.server.config("an-old-token"))
    person = threading.Thread(target=correct)
    person.start()
    assert event_of(trigger)["phase"] == "succeeded"
    person.join()


def test_who_marks_or_clears_the_task_takes_the_version_back(served: Task, bundles: list[Bundle]) -> None:
    trigger = served.execute(bundles[1])
    assert isinstance(trigger, RolloutTrigger)
    until(trigger, lambda: served.stage() == "baking 0")
    asyncio.run(trigger.on_kill())
    assert served.stage() == "none"
    (left,) = served.server.objects.list(SELDON_DEPLOYMENTS)
    assert [(one["name"], one["traffic"]) for one in left["spec"]["predictors"]] == [(f"v{bundles[0].version}", 100)]


def test_rollback_is_one_command_in_the_middle_of_a_rollout_and_after_it(
    served: Task, bundles: list[Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes half a minute: two rollouts in real time."""
    one, two, three = (bundle.version for bundle in bundles)
    assert event_of(served.execute(bundles[1]))["phase"] == "succeeded"
    command = [sys.executable, "-m", "sailplane.cli", "rollback", NAME]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(
        f"{NAME}: {one} serves at cluster/models\nAutomatic deployments of {NAME} have been "
    )
    assert (served.champion, alias(served.ledger, NAME, "previous")) == (one, None)
    with pytest.raises(AirflowSkipException, match=f"rolled back {two} to {one}. `sailplane release {NAME}`"):
        served.execute(bundles[2])
    assert holds.release(served.ledger, NAME).version == two
    until(served.execute(bundles[2]), lambda: served.stage() == "baking 0")
    assert rollback.main(["ada", NAME, "--no-hold"]) == 0
    told = f"{NAME} {three}: failed, rolled back by ada\n{NAME}: {one} serves at cluster/models\n"
    assert capsys.readouterr().out.endswith(told)
    assert holds.find(served.ledger, NAME) is None
    assert rollback.main(["ada", NAME, "--to", "champions"]) == 1
    assert "no such version" in capsys.readouterr().err
    assert len(served.server.objects.list(DEPLOYMENTS)) == 1
    assert {status for status, _ in served.mesh.answers} == {200}


def test_an_offered_baseline_is_deployed_where_the_model_serves(
    served: Task, bundles: list[Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, _ = (bundle.version for bundle in bundles)
    plain = replace(tiny.run_of(bundles[1], served.storage), digest=bundles[1].digest)
    baseline = replace(tiny.evaluation_of(plain), champion=one)
    offer = Offer(reason="The baseline is better: auc 0.7000 against 0.6000.", evaluation=baseline)
    verdict = replace(tiny.evaluation_of(replace(plain, id="worse"), passed=False), champion=one, offer=offer)
    day = plain.dataset.interval.days[-1]
    keep(served.ledger, Judged(dag="d", dag_run="r", kind="scheduled", day=day, evaluation=verdict), served.storage)
    command = [sys.executable, "-m", "sailplane.cli", "deploy", NAME, "--run"]
    ended = subprocess.run([*command, "r"], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{NAME}: {two} serves, the baseline of the run {plain.id}\n"
    recorded = latest(served.ledger, NAME)
    assert recorded
    assert (served.champion, recorded.deployment.weights) == (two, {two: 100})
    (left,) = served.server.objects.list(SELDON_DEPLOYMENTS)
    assert [predictor["name"] for predictor in left["spec"]["predictors"]] == [f"v{two}"]
    assert {status for status, _ in served.mesh.answers} == {200}
    assert deploy.main(["ada", NAME, "--run", "other"]) == 1
    assert "no run other has judged it" in capsys.readouterr().err


def _desired(served: Task) -> list[dict[str, Any]]:
    """Returns the objects without the fields that the operator updates later: the status, its writer and the
    revision."""
    objects = json.loads(json.dumps(served.server.objects.list(SELDON_DEPLOYMENTS)))
    for each in objects:
        del each["status"], each["metadata"]["resourceVersion"], each["metadata"]["managedFields"]
    return list(objects)


def test_a_rollback_to_a_version_that_does_not_load_begins_nothing(
    served: Task, bundles: list[Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (bundle.version for bundle in bundles[:2])
    assert event_of(served.execute(bundles[1]))["phase"] == "succeeded"
    before = _desired(served)
    path = f"models/{NAME}/{one}/model.onnx"
    whole = served.storage.get(path)
    served.storage.put(path, whole[:100])
    for arguments in ([], ["--to", one]):
        assert rollback.main(["ada", NAME, *arguments]) == 1
        assert "is damaged" in capsys.readouterr().err
        assert (served.stage(), served.champion, holds.find(served.ledger, NAME)) == ("none", two, None)
    assert _desired(served) == before
    served.storage.put(path, whole)
    assert rollback.main(["ada", NAME]) == 0
    assert served.champion == one


def test_where_the_command_has_no_connection_the_triggerer_carries_it_out(
    served: Task, bundles: list[Bundle], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that it does not end by itself.
    trigger = served.execute(bundles[1], replace(PLAN, bake="10m"))
    ended: list[dict[str, Any]] = []
    driving = threading.Thread(target=lambda: ended.append(event_of(trigger)))
    driving.start()
    assert wait_until(lambda: served.stage() == "baking 0", seconds=30)
    monkeypatch.delenv("AIRFLOW_CONN_CLUSTER")
    assert rollback.main(["ada", NAME]) == 0
    driving.join(30)
    assert f"{NAME}: Airflow's triggerer will roll back, because: roll back {NAME}" in capsys.readouterr().out
    hold = holds.find(served.ledger, NAME)
    assert hold
    assert (hold.by, hold.version) == ("ada", bundles[1].version)
    assert ended[0]["phase"] == "failed"
    assert served.champion == bundles[0].version
    assert rollback.main(["ada", NAME]) == 1
    assert "Add it, or run this on Airflow's machine" in capsys.readouterr().err
