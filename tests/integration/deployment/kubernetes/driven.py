"""Drives a rollout on a cluster, one look after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sailplane.deployment.kubernetes.endpoint import endpoint
from sailplane.deployment.kubernetes.pod_source import PodSource
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.rollout.state import State
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.models import alias
from tests.integration.deployment.kubernetes.conftest import NAME
from tests.integration.deployment.kubernetes.mesh import Mesh
from tests.integration.deployment.kubernetes.rollouts import Target


class Driven:
    """A model on the cluster. Its clock advances by two seconds with each look, and requests come in between."""

    def __init__(self, ledger: Ledger, target: Target, source: type[PodSource], mesh: Mesh) -> None:
        self.server, self.ledger, self.target, self.source = mesh.server, ledger, target, source
        self.mesh, self.now, self.requests = mesh, 1000.0, 25
        self.seen: list[Any] = []

    def serving(self) -> ModelEndpoint:
        """Returns the endpoint as a restarted process sees it."""
        source = self.source(self.target.cluster, NAME, lambda: self.now)
        return replace(endpoint(self.ledger, self.target, source), clock=lambda: self.now)

    def begin(self, plan: Rollout, model: Model) -> None:
        self.serving().begin(plan, model, "a task")

    def drive(self, version: str, until: Callable[[State], bool] = lambda state: state.ended) -> State:
        driver = self.serving().driver(version)
        try:
            for _ in range(100):
                self.pass_time()
                state = driver.tick()
                assert state is not None
                if until(state):
                    return state
        finally:
            driver.release()
        raise AssertionError(self.seen)

    def pass_time(self) -> None:
        self.now += 2
        self.server.seldon.look()
        if self.server.seldon.routes.get(NAME):
            self.mesh.ask(self.requests)
            traffic = (self.server.seldon.routes[NAME], self.server.seldon.mirrors[NAME])
            self.seen += [traffic] if traffic not in self.seen[-1:] else []

    def stages(self, version: str) -> list[str]:
        return [one.after for one in records.decisions(self.ledger, NAME, version)]

    @property
    def champion(self) -> str:
        found = alias(self.ledger, NAME, "champion")
        assert found
        return found.version
