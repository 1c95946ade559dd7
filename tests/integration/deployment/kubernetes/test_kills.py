from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from kubernetes.client import ApiClient

from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.target import TrafficSplit
from sailplane.records import Model
from tests.integration.deployment.kubernetes.conftest import NAME, V1, V2
from tests.integration.deployment.kubernetes.rollouts import Killed, Target, killed, rollout
from tests.kubernetes_server import NAMESPACE, KubernetesServer


@pytest.fixture(params=["v1", "v2"])
def target(request: pytest.FixtureRequest, client: ApiClient, opened: Any) -> Target:
    """A target has no state, so the next process uses the same one."""
    cluster = Cluster(client, NAMESPACE, patience=2)
    if request.param == "v1":
        return CoreV1Target(cluster, NAME, V1, opened)
    return CoreV2Target(cluster, NAME, V2, opened)


def kills(server: KubernetesServer, target: Target, first: Model, model: Model) -> Iterator[int]:
    """Yields, for each request of a rollout, the cluster as it is if that request is the last one."""
    assert rollout(target, first, lambda: server.seldon.look(3)) == "served"
    served = {key: deepcopy(one) for key, one in server.objects.stored.items()}
    for after in (False, True):
        at, over = 0, False
        while not over:
            at += 1
            server.objects.stored = {key: deepcopy(one) for key, one in served.items()}
            server.seldon.routes = {NAME: {"the first": 100}}
            with killed(target.cluster.client, at, after):
                try:
                    rollout(target, model, lambda: server.seldon.look(4))
                except Killed:
                    pass
                else:
                    over = True
            yield at
        assert at > 8


def test_a_rollout_that_was_killed_between_any_two_requests_goes_on_to_the_same_end(
    server: KubernetesServer, target: Target, models: list[Model]
) -> None:
    one, two, _ = models
    for at in kills(server, target, one, two):
        assert rollout(target, two, lambda: server.seldon.look(4)) == "served", at
        assert target.split() == TrafficSplit({two.version: 100}), at
        assert target.versions() == [two.version], at
        (route,) = server.seldon.routes[NAME].items()
        assert (route[0][-12:], route[1]) == (two.version, 100), at


def test_a_rollback_that_was_killed_between_any_two_requests_leaves_what_was_served(
    server: KubernetesServer, target: Target, models: list[Model]
) -> None:
    one, two, _ = models
    server.seldon.behaviour = {f"v{two.version}": "failing", f"flights-v{two.version}": "failing"}
    for at in kills(server, target, one, two):
        assert rollout(target, two, lambda: server.seldon.look(4)) != "served", at
        assert target.split() == TrafficSplit({one.version: 100}), at
        assert target.versions() == [one.version], at
        (route,) = server.seldon.routes[NAME].items()
        assert (route[0][-12:], route[1]) == (one.version, 100), at
