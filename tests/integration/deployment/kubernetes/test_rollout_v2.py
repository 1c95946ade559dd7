"""Rollouts on Models and an Experiment, with real checks on the agents' counts for real bundles."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.kubernetes.core_v2_source import CoreV2Source
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.check_specs import ErrorRate
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import AT_ONCE
from sailplane.deployment.target import TrafficSplit
from sailplane.ledger import Ledger
from sailplane.records import Model
from tests.integration.deployment.kubernetes.conftest import NAME, registered_in
from tests.integration.deployment.kubernetes.driven import Driven
from tests.integration.deployment.kubernetes.mesh import FAULTY, ModelMesh
from tests.kubernetes_server import KubernetesServer
from tests.unit.bundles import tiny

PLAN = Rollout(shadow="6s", steps=(20, 50, 100), bake="6s", extend="6s", min_requests=10, checks=[ErrorRate()])


@pytest.fixture
def mesh(server: KubernetesServer, bundles: list[Bundle]) -> ModelMesh:
    return ModelMesh(server, NAME, bundles)


@pytest.fixture
def driven(ledger: Ledger, target_v2: CoreV2Target, mesh: ModelMesh, models: list[Model]) -> Driven:
    """An endpoint that serves the first version."""
    driven = Driven(ledger, target_v2, CoreV2Source, mesh)
    driven.begin(AT_ONCE, models[0])
    assert driven.drive(models[0].version).phase == "succeeded"
    driven.server.seldon.look()
    driven.seen.clear()
    return driven


@pytest.fixture
def bad(driven: Driven, mesh: ModelMesh, bundles: list[Bundle], tmp_path: Path) -> Model:
    """A version that works until a request has one row."""
    bundle = tiny.bundle(tmp_path / "broken", features=FAULTY, run="broken")
    known = {one.version: one for one in (bundles[0], bundle)}
    mesh.serve([*known.values()])
    driven.target.bundle = lambda version: nullcontext(known[version])
    return registered_in(driven.ledger, bundle)


def test_a_good_version_goes_through_its_steps_on_the_agents_counts_and_takes_over(
    driven: Driven, models: list[Model]
) -> None:
    one, two = (f"{NAME}-v{model.version}" for model in models[:2])
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
    assert driven.champion == models[1].version
    assert {status for status, _ in driven.mesh.answers} == {200}
    decided = records.decisions(driven.ledger, NAME, models[1].version)
    assert all(finding.count >= 10 for one in decided[2:5] for finding in one.findings)


@pytest.mark.parametrize(
    ("check", "told"),
    [(ErrorRate(maximum=0.2), "error rate: 1.0000"), (ErrorRate(), "error rate against the champion: 1.0000")],
    ids=["maximum", "worse"],
)
def test_a_shadow_that_fails_is_taken_back_before_a_client_sees_it(
    driven: Driven, models: list[Model], bad: Model, check: Any, told: str
) -> None:
    driven.begin(Rollout(shadow="1m", steps=(10, 100), bake="1m", checks=[check]), bad)
    state = driven.drive(bad.version)
    assert (state.phase, state.reason.startswith(told)) == ("failed", True), state.reason
    assert driven.target.split() == TrafficSplit({models[0].version: 100})
    assert driven.target.versions() == [models[0].version]
    assert driven.champion == models[0].version
    assert {*driven.mesh.answers} == {(200, f"{NAME}-v{models[0].version}")}
    assert driven.stages(bad.version) == ["starting", "shadowing", "rolling back", "failed"]


def test_a_canary_that_fails_is_taken_back_by_the_plan_that_says_nothing_of_checks(
    driven: Driven, models: list[Model], bad: Model
) -> None:
    driven.begin(Rollout(steps=(20, 100)), bad)
    state = driven.drive(bad.version)
    assert (state.phase, state.reason.startswith("error rate against the champion: 1.0000")) == ("failed", True)
    assert driven.target.split() == TrafficSplit({models[0].version: 100})
    assert driven.stages(bad.version) == ["starting", "baking 0", "rolling back", "failed"]
    answers = driven.mesh.answers
    assert 0 < answers[500, f"{NAME}-v{bad.version}"] < answers[200, f"{NAME}-v{models[0].version}"]


def test_a_pod_that_does_not_answer_is_a_pause_and_after_half_a_minute_the_end(
    driven: Driven, mesh: ModelMesh, models: list[Model]
) -> None:
    version = models[1].version
    driven.begin(PLAN, models[1])
    driven.drive(version, lambda state: state.stage == "baking 0")
    mesh.servers.silent = {"mlserver-1"}
    driven.drive(version, lambda state: state.missed > 10)
    mesh.servers.silent = set()
    assert driven.drive(version, lambda state: state.missed == 0).stage == "baking 0"
    mesh.servers.silent = {"mlserver-0"}
    state = driven.drive(version)
    assert state.phase == "failed"
    assert "not ready for 30 s" in state.reason
    assert "read the metrics of pod mlserver-0" in state.reason
    assert driven.target.split() == TrafficSplit({models[0].version: 100})


def test_where_nobody_asks_the_golden_rows_pass_no_step(driven: Driven, models: list[Model]) -> None:
    driven.requests = 0
    driven.begin(Rollout(steps=(50, 100), bake="6s", extend="6s", min_requests=1), models[1])
    state = driven.drive(models[1].version)
    assert (state.phase, "not enough requests" in state.reason) == ("failed", True), state.reason


def test_a_plan_without_checks_needs_no_agent(driven: Driven, mesh: ModelMesh, models: list[Model]) -> None:
    mesh.servers.silent = {*mesh.servers.agents}
    driven.begin(Rollout(steps=(50, 100), bake="6s", checks=[]), models[1])
    assert driven.drive(models[1].version).phase == "succeeded"
