from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.kubernetes.workloads import CoreV2
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DeploymentError, ServiceError
from sailplane.records import Model
from tests.integration.deployment.kubernetes.conftest import NAME
from tests.integration.deployment.kubernetes.rollouts import rollout
from tests.kubernetes.ownership import Writer
from tests.kubernetes.refusals import Refused
from tests.kubernetes.seldon import EXPERIMENTS, MODELS
from tests.kubernetes_server import NAMESPACE, Fault, KubernetesServer

Server = KubernetesServer


@pytest.fixture
def served(server: Server, target_v2: CoreV2Target, models: list[Model]) -> CoreV2Target:
    assert rollout(target_v2, models[0], lambda: server.seldon.look(3)) == "served"
    return target_v2


def test_a_version_is_ready_when_it_is_loaded_and_scores_the_golden_rows(
    server: Server, target_v2: CoreV2Target, models: list[Model]
) -> None:
    version = models[0].version
    target_v2.begin(models[0])
    seen = [target_v2.progress(version).state]
    for _ in range(2):
        server.seldon.look()
        seen.append(target_v2.progress(version).state)
    assert seen == ["starting", "starting", "ready"]
    assert server.asked[-1].endswith(f"/services/seldon-mesh:80/proxy/v2/models/flights-v{version}/infer")
    assert target_v2.split() == TrafficSplit({})


def test_a_whole_rollout_shadows_moves_the_traffic_and_deletes_what_it_replaced(
    server: Server, served: CoreV2Target, models: list[Model]
) -> None:
    one, two, _ = (model.version for model in models)
    served.begin(models[1])
    server.seldon.look(3)
    served.move(TrafficSplit({one: 100}, shadow=two))
    server.seldon.look()
    assert (server.seldon.routes[NAME], server.seldon.mirrors[NAME]) == ({f"flights-v{one}": 100}, f"flights-v{two}")
    for split in (TrafficSplit({one: 90, two: 10}), TrafficSplit({two: 100})):
        served.move(split)
        server.seldon.look()
        assert served.split() == split
        assert server.seldon.mirrors[NAME] is None
    served.stop(one)
    assert served.versions() == [two]
    assert server.seldon.routes == {NAME: {f"flights-v{two}": 100}}


def test_a_version_with_traffic_is_not_stopped_and_a_shadow_is(
    server: Server, served: CoreV2Target, models: list[Model]
) -> None:
    one, two, _ = (model.version for model in models)
    with pytest.raises(DeploymentError, match="100 percent of the traffic"):
        served.stop(one)
    served.begin(models[1])
    served.move(TrafficSplit({one: 100}, shadow=two))
    served.stop(two)
    assert served.split() == TrafficSplit({one: 100})
    assert served.versions() == [one]


def test_a_version_that_was_not_started_gets_no_traffic(served: CoreV2Target, models: list[Model]) -> None:
    with pytest.raises(DeploymentError, match=f"no Model of {models[1].version}"):
        served.move(TrafficSplit({models[0].version: 50, models[1].version: 50}))


@pytest.mark.parametrize(
    ("behaviour", "deadline", "told"),
    [
        ("failing", timedelta(hours=1), "load of the model failed"),
        ("stuck", timedelta(microseconds=1), "not ready 0 s after it was started"),
    ],
)
def test_a_version_that_does_not_load_is_rolled_back(
    server: Server,
    served: CoreV2Target,
    cluster: Cluster,
    opened: Any,
    models: list[Model],
    behaviour: Any,
    deadline: timedelta,
    told: str,
) -> None:
    one, two, _ = models
    server.seldon.behaviour = {f"flights-v{two.version}": behaviour}
    target = CoreV2Target(cluster, NAME, CoreV2(deadline=deadline), opened)
    assert told in rollout(target, two, lambda: server.seldon.look(3))
    assert served.split() == TrafficSplit({one.version: 100})
    assert served.versions() == [one.version]


def test_a_version_that_is_to_be_loaded_differently_is_replaced_while_it_has_no_traffic(
    server: Server, target_v2: CoreV2Target, cluster: Cluster, opened: Any, models: list[Model]
) -> None:
    target_v2.begin(models[0])
    larger = CoreV2Target(cluster, NAME, CoreV2(memory="4Gi"), opened)
    larger.begin(models[0])
    (made,) = server.objects.list(MODELS)
    assert made["spec"]["memory"] == "4Gi"
    target_v2.move(TrafficSplit({models[0].version: 100}))
    target_v2.begin(models[0])
    (same,) = server.objects.list(MODELS)
    assert same == made


def test_an_experiment_of_somebody_else_is_left_alone(
    server: Server, target_v2: CoreV2Target, models: list[Model]
) -> None:
    spec = {"candidates": [{"name": "theirs", "weight": 100}]}
    server.objects.create(EXPERIMENTS, NAMESPACE, {"metadata": {"name": NAME}, "spec": spec}, Writer())
    for verb in (lambda: target_v2.begin(models[0]), target_v2.split, lambda: target_v2.stop(models[0].version)):
        with pytest.raises(DeploymentError, match="it was not made by Sailplane"):
            verb()


def test_a_conflict_is_read_again_and_a_server_that_is_away_is_named(
    server: Server, served: CoreV2Target, models: list[Model]
) -> None:
    one, two, _ = models
    served.begin(two)

    def rival() -> None:
        label = {"rival": str(server.objects.version)}
        edit = lambda now: {**now, "metadata": {**now["metadata"], "labels": label}}  # noqa: E731
        server.objects.update(EXPERIMENTS, NAMESPACE, NAME, edit, Writer("rival"))

    server.faults = [Fault(lambda method, _path: method == "PATCH", times=2, before=rival)]
    served.move(TrafficSplit({one.version: 50, two.version: 50}))
    assert served.split() == TrafficSplit({one.version: 50, two.version: 50})

    def away() -> None:
        raise Refused(503, "not now")

    server.faults = [Fault(before=away)]
    with pytest.raises(ServiceError, match="503: not now"):
        served.split()
