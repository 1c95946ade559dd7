"""The engine of the rollout plan on the cluster's targets: it knows nothing of Kubernetes but the five verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sailplane.ledger import Ledger
from sailplane.ledger.tables import models as table
from sailplane.records import Model
from sailplane.registry.models import alias
from sailplane.serving.kubernetes.core_v1 import CoreV1Target
from sailplane.serving.rollout.observations import Observations
from sailplane.serving.rollout.plan import Rollout
from sailplane.serving.rollout.run import Serving
from tests.integration.serving.kubernetes.conftest import NAME
from tests.integration.serving.kubernetes.rollouts import rollout
from tests.kubernetes_server import KubernetesServer

PLAN = Rollout(shadow="1m", steps=(10, 50, 100), bake="1m", checks=())


class Unobserved:
    def observed(self, _version: str) -> Observations:
        return Observations()


@pytest.fixture
def ledger(tmp_path: Path, models: list[Model]) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.begin() as connection:
        for model in models:
            row = {"name": model.name, "version": model.version, "record": model.to_dict(), "created": 0.0}
            connection.execute(sa.insert(table).values(row))
    return ledger


def driven(server: KubernetesServer, ledger: Ledger, target: CoreV1Target, model: Model) -> tuple[str, list[Any]]:
    """How it ended, and the traffic on its way; half a minute a look."""
    now = 1000.0
    place = Serving(ledger, target, Unobserved(), name=NAME, endpoint=target.endpoint, clock=lambda: now)
    place.begin(PLAN, model, "tests")
    driver, seen = place.driver(model.version), []
    for _ in range(40):
        now += 30
        server.seldon.look()
        state = driver.tick()
        traffic = (server.seldon.routes[NAME], server.seldon.mirrors[NAME])
        seen += [traffic] if traffic not in seen[-1:] else []
        if state is not None and state.ended:
            return state.phase, seen
    raise AssertionError(seen)


def test_the_plan_is_driven_by_traffic_weights(
    server: KubernetesServer, ledger: Ledger, target: CoreV1Target, models: list[Model]
) -> None:
    one, two = (f"v{model.version}" for model in models[:2])
    assert rollout(target, models[0], lambda: server.seldon.look(3)) == "served"
    phase, seen = driven(server, ledger, target, models[1])
    server.seldon.look()
    assert phase == "succeeded"
    assert seen[:4] == [({one: 100}, None), ({one: 100}, two), ({one: 90, two: 10}, None), ({one: 50, two: 50}, None)]
    assert server.seldon.routes == {NAME: {two: 100}}
    assert target.versions() == [models[1].version]
    assert alias(ledger, NAME, "champion").version == models[1].version  # type: ignore[union-attr]


def test_a_version_that_crashes_on_its_way_is_rolled_back(
    server: KubernetesServer, ledger: Ledger, target: CoreV1Target, models: list[Model]
) -> None:
    assert rollout(target, models[0], lambda: server.seldon.look(3)) == "served"
    server.seldon.behaviour = {f"v{models[1].version}": "failing"}
    phase, _ = driven(server, ledger, target, models[1])
    server.seldon.look()
    assert phase == "failed"
    assert target.versions() == [models[0].version]
    assert server.seldon.routes == {NAME: {f"v{models[0].version}": 100}}
