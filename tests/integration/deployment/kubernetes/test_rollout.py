"""Rollouts on a SeldonDeployment, with real checks on the counts of the pods of real bundles."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v1_source import CoreV1Source
from sailplane.deployment.kubernetes.recorded import latest
from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.check_specs import ErrorRate, Latency, PredictionDrift
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import AT_ONCE, ModelEndpoint
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DeploymentError, ServiceError
from sailplane.ledger import Ledger
from sailplane.records import Model
from tests.integration.deployment.kubernetes.conftest import NAME, V1, answering, registered_in
from tests.integration.deployment.kubernetes.driven import Driven
from tests.integration.deployment.kubernetes.mesh import FAULTY, SLOW, Mesh
from tests.integration.deployment.kubernetes.rollouts import Killed, killed
from tests.integration.deployment.kubernetes.test_faults import patches, rival
from tests.kubernetes.seldon import DEPLOYMENTS
from tests.kubernetes_server import Fault, KubernetesServer
from tests.unit.bundles import tiny

PLAN = Rollout(
    shadow="6s",
    steps=(20, 50, 100),
    bake="6s",
    min_requests=10,
    checks=[ErrorRate(maximum=0.2), Latency(p50="5s"), PredictionDrift(maximum=0.6)],
)


@pytest.fixture
def driven(server: KubernetesServer, ledger: Ledger, target: CoreV1Target, models: list[Model]) -> Driven:
    """An endpoint that serves the first version."""
    driven = Driven(ledger, target, CoreV1Source, Mesh(server, NAME))
    driven.begin(AT_ONCE, models[0])
    assert driven.drive(models[0].version).phase == "succeeded"
    driven.server.seldon.look()
    driven.seen.clear()
    return driven


def broken(driven: Driven, bundles: list[Bundle], folder: Path, features: str) -> Model:
    """A version that works until a request has one row."""
    bundle = tiny.bundle(folder / "broken", features=features, run="broken")
    known = {one.version: one for one in (bundles[0], bundle)}
    driven.server.service = answering([*known.values()])
    driven.target.bundle = lambda version: nullcontext(known[version])
    return registered_in(driven.ledger, bundle)


def test_a_good_version_goes_through_its_steps_and_takes_over(driven: Driven, models: list[Model]) -> None:
    one, two = (f"v{model.version}" for model in models[:2])
    driven.begin(PLAN, models[1])
    assert driven.drive(models[1].version).phase == "succeeded"
    driven.server.seldon.look()
    assert driven.seen == [
        ({one: 100}, None),
        ({one: 100}, two),
        ({one: 80, two: 20}, None),
        ({one: 50, two: 50}, None),
    ]
    assert driven.server.seldon.routes == {NAME: {two: 100}}
    assert driven.target.versions() == [models[1].version]
    assert len(driven.server.objects.list(DEPLOYMENTS)) == 1
    assert driven.champion == models[1].version
    assert {status for status, _ in driven.mesh.answers} == {200}
    recorded = latest(driven.ledger, NAME)
    assert recorded
    assert (recorded.deployment.weights, str(recorded.location)) == ({models[1].version: 100}, "/models")
    decided = records.decisions(driven.ledger, NAME, models[1].version)
    assert all(finding.count >= 10 for one in decided[2:5] for finding in one.findings)


@pytest.mark.parametrize(
    ("features", "checks", "told"),
    [(FAULTY, [ErrorRate(maximum=0.2)], "error rate: 1.0000"), (SLOW, [Latency(p50="10ms")], "latency p50: share")],
    ids=["errors", "slow"],
)
def test_a_version_that_fails_is_taken_back_with_its_objects_before_a_client_sees_it(
    driven: Driven, bundles: list[Bundle], models: list[Model], tmp_path: Path, features: str, checks: Any, told: str
) -> None:
    bad = broken(driven, bundles, tmp_path, features)
    driven.begin(Rollout(shadow="1m", steps=(10, 100), bake="1m", checks=checks), bad)
    state = driven.drive(bad.version)
    assert (state.phase, state.reason.startswith(told)) == ("failed", True), state.reason
    driven.server.seldon.look()
    assert driven.target.split() == TrafficSplit({models[0].version: 100})
    assert driven.target.versions() == [models[0].version]
    assert driven.server.seldon.routes == {NAME: {f"v{models[0].version}": 100}}
    assert len(driven.server.objects.list(DEPLOYMENTS)) == 1
    assert driven.champion == models[0].version
    assert {*driven.mesh.answers} == {(200, f"v{models[0].version}")}
    assert driven.stages(bad.version) == ["starting", "shadowing", "rolling back", "failed"]


def test_a_pod_that_crashes_in_the_middle_of_a_step_takes_the_version_back(driven: Driven, models: list[Model]) -> None:
    version = models[1].version
    driven.begin(PLAN, models[1])
    driven.drive(version, lambda state: state.stage == "baking 0")
    driven.server.seldon.behaviour = {f"v{version}": "crashing"}
    # Checks miss requests that the pod does not answer.
    state = driven.drive(version)
    assert state.phase == "failed"
    assert "not ready for 30 s" in state.reason
    assert "CrashLoopBackOff" in state.reason
    driven.server.seldon.look()
    assert driven.server.seldon.routes == {NAME: {f"v{models[0].version}": 100}}
    assert driven.target.versions() == [models[0].version]


def test_a_pod_that_is_away_for_a_moment_does_not_though_it_was_started_long_ago(
    driven: Driven, models: list[Model]
) -> None:
    version = models[1].version
    driven.begin(PLAN, models[1])
    driven.drive(version, lambda state: state.stage == "baking 0")
    driven.server.seldon.behaviour = {f"v{version}": "crashing"}
    over = replace(V1, deadline=timedelta(microseconds=1))
    driven.target = CoreV1Target(driven.target.cluster, NAME, over, driven.target.bundle)
    driven.drive(version, lambda state: state.missed > 10)
    driven.server.seldon.behaviour = {}
    assert driven.drive(version).phase == "succeeded"


def test_a_rollout_on_this_machine_is_not_ended_by_one_on_a_cluster(driven: Driven, models: list[Model]) -> None:
    here = ModelEndpoint(driven.ledger, driven.target, driven.serving().source, name=NAME, endpoint="http://x")
    here.begin(PLAN, models[1], "a task")
    with pytest.raises(
        DeploymentError, match=f"a rollout of {models[1].version} is running on this machine.*sailplane rollback {NAME}"
    ):
        driven.begin(PLAN, models[2])
    assert driven.stages(models[1].version) == ["starting"]


def test_somebody_who_writes_the_object_all_the_time_stops_no_step(driven: Driven, models: list[Model]) -> None:
    writes = count()
    strikes = lambda method, path: patches(method, path) and next(writes) % 2 == 0  # noqa: E731
    driven.server.faults = [Fault(strikes, before=rival(driven.server))]
    driven.begin(PLAN, models[1])
    assert driven.drive(models[1].version).phase == "succeeded"
    assert driven.target.split() == TrafficSplit({models[1].version: 100})
    assert next(writes) >= 12


def test_an_api_server_that_is_away_in_the_middle_of_a_step_is_a_pause(driven: Driven, models: list[Model]) -> None:
    version = models[1].version
    driven.target.cluster.patience = 0.2
    driven.begin(PLAN, models[1])
    driven.drive(version, lambda state: state.stage == "baking 0")
    driver = driven.serving().driver(version)
    driven.server.stop()
    for _ in range(3):
        driven.now += 60
        with pytest.raises(ServiceError, match="reach the API server"):
            driver.tick()
    assert driven.stages(version)[-1] == "baking 0"
    driver.release()
    driven.server.start()
    assert driven.drive(version).phase == "succeeded"
    assert driven.stages(version).count("baking 0") == 1


def test_a_driver_that_is_killed_between_any_two_requests_is_followed_by_one_that_repeats_no_step(
    driven: Driven, models: list[Model]
) -> None:
    version, client = models[1].version, driven.target.cluster.client
    driven.begin(PLAN, models[1])
    driven.requests, lives = 12, 0
    while driven.serving().entry(version).state.phase != "succeeded":
        lives += 1
        # The previous driver never released its lease.
        driven.now += repository.LEASE_SECONDS + 1
        with suppress(Killed), killed(client, lives % 23 + 1, after=bool(lives % 2)):
            driver = driven.serving().driver(version)
            while (state := driver.tick()) is not None and not state.ended:
                driven.pass_time()
    assert lives > 12
    stages = driven.stages(version)
    assert stages == ["starting", "shadowing", "baking 0", "baking 1", "promoting", "succeeded"]
    assert driven.target.versions() == [version]
