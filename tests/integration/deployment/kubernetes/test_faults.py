from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from kubernetes.client import ApiClient

from sailplane.deployment.kubernetes.cluster import Cluster, ResourceKind
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.workloads import CoreV1
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DeploymentError, ServiceError
from sailplane.records import Model
from tests.integration.deployment.kubernetes.conftest import NAME, V1, connected
from tests.integration.deployment.kubernetes.rollouts import rollout
from tests.kubernetes.ownership import Writer
from tests.kubernetes.refusals import Refused
from tests.kubernetes.seldon import SELDON_DEPLOYMENTS
from tests.kubernetes_server import NAMESPACE, Fault, KubernetesServer

Server = KubernetesServer


@pytest.fixture
def served(server: Server, target: CoreV1Target, models: list[Model]) -> CoreV1Target:
    """Serves the first version with all the traffic."""
    assert rollout(target, models[0], lambda: server.seldon.look(3)) == "served"
    return target


@pytest.fixture
def hasty(cluster: Cluster, opened: Any) -> CoreV1Target:
    """An endpoint whose deadline has passed at its first look."""
    return CoreV1Target(cluster, NAME, CoreV1(image=V1.image, deadline=timedelta(microseconds=1)), opened)


def rival(server: Server) -> Callable[[], None]:
    """Another client that writes a new label right before each of our writes."""

    def write() -> None:
        label = {"rival": str(server.objects.version)}
        edit = lambda now: {**now, "metadata": {**now["metadata"], "labels": label}}  # noqa: E731
        server.objects.update(SELDON_DEPLOYMENTS, NAMESPACE, NAME, edit, Writer("rival"))

    return write


def refusing(status: int) -> Callable[[], None]:
    def refuse() -> None:
        raise Refused(status, "not now")

    return refuse


def patches(method: str, _path: str) -> bool:
    return method == "PATCH"


def test_a_conflict_is_read_again_and_what_the_other_one_wrote_stays(
    server: Server, served: CoreV1Target, models: list[Model]
) -> None:
    server.faults = [Fault(patches, times=3, before=rival(server))]
    served.begin(models[1])
    assert served.versions() == [models[0].version, models[1].version]
    assert "rival" in server.objects.get(SELDON_DEPLOYMENTS, NAMESPACE, NAME)["metadata"]["labels"]


def test_a_writer_who_never_ends_is_named(server: Server, served: CoreV1Target, models: list[Model]) -> None:
    server.faults = [Fault(patches, before=rival(server))]
    with pytest.raises(ServiceError, match="20 conflicts in a row"):
        served.begin(models[1])
    assert served.versions() == [models[0].version]


def test_two_who_begin_at_once_both_end_with_their_version_there(
    server: Server, opened: Any, models: list[Model]
) -> None:
    """The first of the two makes the object, and neither takes traffic from the other."""
    first, second = (CoreV1Target(Cluster(connected(server.config()), NAMESPACE), NAME, V1, opened) for _ in range(2))
    first.begin(models[0])
    server.seldon.look(3)
    first.move(TrafficSplit({models[0].version: 100}))
    threads = [
        threading.Thread(target=target.begin, args=(model,))
        for target, model in ((first, models[1]), (second, models[2]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(first.versions()) == {model.version for model in models}
    assert second.split() == TrafficSplit({models[0].version: 100})


@pytest.mark.parametrize("behaviour", ["stuck", "crashing"])
def test_a_version_that_never_comes_is_rolled_back_by_our_own_deadline(
    server: Server, served: CoreV1Target, hasty: CoreV1Target, models: list[Model], behaviour: Any
) -> None:
    one, two, _ = models
    server.seldon.behaviour = {f"v{two.version}": behaviour}
    reason = rollout(hasty, two, lambda: server.seldon.look(4))
    assert "not ready 0 s after it was started" in reason
    assert ("CrashLoopBackOff: back-off 5m0s" in reason) == (behaviour == "crashing")
    assert served.split() == TrafficSplit({one.version: 100})
    assert served.versions() == [one.version]
    assert server.seldon.routes == {NAME: {f"v{one.version}": 100}}
    assert server.objects.get(SELDON_DEPLOYMENTS, NAMESPACE, NAME)["status"]["state"] == "Available"


def test_before_the_deadline_a_version_that_crashes_is_waited_for_and_its_pods_are_heard(
    server: Server, served: CoreV1Target, models: list[Model]
) -> None:
    server.seldon.behaviour = {f"v{models[1].version}": "crashing"}
    served.begin(models[1])
    server.seldon.look(4)
    seen = served.progress(models[1].version)
    assert seen.state == "starting"
    assert "0 of 1 pods" in seen.reason
    assert "CrashLoopBackOff" in seen.reason


def test_a_version_that_the_operator_gives_up_is_failed_at_once(
    server: Server, served: CoreV1Target, models: list[Model]
) -> None:
    server.seldon.behaviour = {f"v{models[1].version}": "failing"}
    reason = rollout(served, models[1], lambda: server.seldon.look(4))
    assert "no longer progressing" in reason
    assert server.seldon.routes == {NAME: {f"v{models[0].version}": 100}}


def test_the_failure_of_the_last_try_is_not_taken_for_one_of_the_next(
    server: Server, served: CoreV1Target, models: list[Model]
) -> None:
    one, two, three = models
    server.seldon.behaviour = {f"v{two.version}": "failing"}
    served.begin(two)
    server.seldon.look(4)
    served.stop(two.version)
    served.begin(three)
    assert server.objects.get(SELDON_DEPLOYMENTS, NAMESPACE, NAME)["status"]["state"] == "Failed"
    assert served.progress(three.version).state == "starting"
    server.seldon.look(4)
    assert served.progress(three.version).state == "ready"
    assert served.split() == TrafficSplit({one.version: 100})


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_server_that_is_busy_for_a_moment_is_asked_again(
    server: Server, served: CoreV1Target, models: list[Model], status: int
) -> None:
    server.faults = [Fault(times=2, before=refusing(status)), Fault(patches, times=2, before=refusing(status))]
    served.begin(models[1])
    assert models[1].version in served.versions()


def test_an_api_server_that_stays_busy_is_named_with_its_words(server: Server, served: CoreV1Target) -> None:
    server.faults = [Fault(before=refusing(503))]
    with pytest.raises(ServiceError, match="503: not now") as raised:
        served.split()
    assert not isinstance(raised.value, DeploymentError)


def test_an_api_server_that_is_gone_is_named_and_asked_again_when_it_is_back(
    server: Server, served: CoreV1Target, models: list[Model]
) -> None:
    server.stop()
    for verb in (served.split, lambda: served.begin(models[1]), lambda: served.progress(models[0].version)):
        with pytest.raises(ServiceError, match=r"reach the API server .* Connection refused") as raised:
            verb()
        assert not isinstance(raised.value, DeploymentError)
    server.start()
    assert rollout(served, models[1], lambda: server.seldon.look(3)) == "served"


def test_a_restart_of_the_api_server_goes_unnoticed(
    server: Server, served: CoreV1Target, client: ApiClient, opened: Any, models: list[Model]
) -> None:
    patient = CoreV1Target(Cluster(client, NAMESPACE, patience=30), NAME, V1, opened)
    server.stop()
    later = threading.Timer(0.5, server.start)
    later.start()
    patient.begin(models[1])
    later.join()
    assert models[1].version in served.versions()


def test_an_api_server_that_hangs_is_not_waited_for_without_end(
    server: Server, served: CoreV1Target, client: ApiClient, opened: Any
) -> None:
    over = threading.Event()
    server.faults = [Fault(before=over.wait)]
    target = CoreV1Target(Cluster(client, NAMESPACE, patience=0.3, seconds=(1, 0.2)), NAME, V1, opened)
    try:
        with pytest.raises(ServiceError, match="timed out"):
            target.split()
    finally:
        over.set()


def test_a_slow_api_server_is_waited_for(server: Server, served: CoreV1Target, models: list[Model]) -> None:
    server.faults = [Fault(before=lambda: time.sleep(0.1))]
    served.begin(models[1])
    assert models[1].version in served.versions()


def test_a_write_whose_answer_is_lost_happens_once(server: Server, served: CoreV1Target, models: list[Model]) -> None:
    one, two, _ = models
    for verb in (
        lambda: served.begin(two),
        lambda: served.move(TrafficSplit({one.version: 50, two.version: 50})),
        lambda: served.move(TrafficSplit({two.version: 100})),
        lambda: served.stop(one.version),
        lambda: (served.move(TrafficSplit({})), served.stop(two.version)),
    ):
        before = server.objects.version
        server.faults = [Fault(lambda method, _path: method in ("PATCH", "DELETE"), times=1, silent=True)]
        verb()
        assert server.objects.version > before
    assert server.objects.list(SELDON_DEPLOYMENTS) == []


def test_who_may_not_is_told_so(server: Server, served: CoreV1Target, models: list[Model]) -> None:
    server.faults = [Fault(patches, before=refusing(403))]
    with pytest.raises(DeploymentError, match=r"403: not now.*the permissions of its user"):
        served.begin(models[1])


def test_pods_that_may_not_be_read_are_left_out_of_the_reason(
    server: Server, served: CoreV1Target, models: list[Model]
) -> None:
    server.faults = [Fault(lambda _method, path: path.endswith("/pods"), before=refusing(403))]
    served.begin(models[1])
    assert "pods say" not in served.progress(models[1].version).reason


def test_a_cluster_without_seldon_is_told_what_to_install(cluster: Cluster) -> None:
    unknown = ResourceKind("unknown.example", "v1", "things", "Things 1.0")
    with pytest.raises(DeploymentError, match=r"does not know this kind.*Install Things 1\.0"):
        cluster.get(unknown, "x")


def test_a_certificate_that_nobody_trusts_is_refused(server: Server) -> None:
    config = server.config()
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    with connected(config) as client, pytest.raises(DeploymentError, match=r"certificate.*Correct the connection"):
        Cluster(client, NAMESPACE, patience=0.2).get(ResourceKind("a", "b", "c", "d"), "x")
