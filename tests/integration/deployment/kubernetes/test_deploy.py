from __future__ import annotations

import json
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v1_source import CoreV1Source
from sailplane.deployment.kubernetes.endpoint import endpoint
from sailplane.deployment.rollout import repository
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import ConfigurationError, DeploymentError
from sailplane.ledger import Ledger
from sailplane.operators import CoreV1, CoreV2, DeployModelOperator
from sailplane.records import Model
from sailplane.registry.models import alias
from sailplane.storage import Storage
from tests.integration.deployment.kubernetes.conftest import NAME, V1
from tests.integration.deployment.kubernetes.rollouts import Killed, killed
from tests.kubernetes.seldon import MODELS, SELDON_DEPLOYMENTS
from tests.kubernetes.working import Working
from tests.kubernetes_server import KubernetesServer
from tests.unit.bundles import tiny

Server = KubernetesServer


@pytest.fixture
def hasty(cluster: Cluster, opened: Any) -> CoreV1Target:
    workload = CoreV1(image=V1.image, deadline=timedelta(seconds=0.3))
    return CoreV1Target(cluster, NAME, workload, opened)


def deploy(target: CoreV1Target, ledger: Ledger, model: Model) -> None:
    """Deploys the model as a task without a rollout does."""
    endpoint(ledger, target, CoreV1Source(target.cluster, NAME)).deploy(model, "a task")


def execute(bundle: Bundle, storage: Storage, seldon: CoreV1 | CoreV2, champion: str | None = None) -> dict[str, Any]:
    evaluation = tiny.evaluation_of(tiny.run_of(bundle, storage)).to_dict() | {"champion": champion}
    how = {"task_id": "deploy", "target": "kubernetes", "conn_id": "cluster"}
    operator = DeployModelOperator(evaluation=evaluation, seldon=seldon, **how)
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="deploy", max_tries=0)
    return operator.execute({"ti": ti, "dag_run": SimpleNamespace(run_type="manual")})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "seldon", [V1, CoreV2(ingress="https://models.test/", deadline=timedelta(seconds=20))], ids=["v1", "v2"]
)
def test_the_task_serves_the_model_that_passed_and_then_the_next_one_in_its_place(
    server: Server, on_s3: Storage, bundles: list[Bundle], tmp_path: Path, seldon: CoreV1 | CoreV2
) -> None:
    one, two, _ = bundles
    ledger = Ledger.create(f"sqlite:///{tmp_path / 'home' / 'ledger.db'}")
    with Working(server.seldon):
        first = execute(one, on_s3, seldon)
        second = execute(two, on_s3, seldon, champion=one.version)
        again = execute(two, on_s3, seldon, champion=one.version)
    assert first["weights"] == {one.version: 100}
    assert second == again == first | {"version": two.version, "weights": {two.version: 100}}
    path = "/v2/models/flights/infer" if seldon != V1 else "/seldon/models/flights/api/v1.0/predictions"
    assert second["endpoint"] == ("https://models.test" if seldon != V1 else "") + path
    kind = SELDON_DEPLOYMENTS if seldon == V1 else MODELS
    (left,) = server.objects.list(kind)
    assert two.version in json.dumps(left)
    assert one.version not in json.dumps(left["spec"])
    assert alias(ledger, NAME, "champion").version == two.version  # type: ignore[union-attr]
    assert alias(ledger, NAME, "previous").version == one.version  # type: ignore[union-attr]


def test_a_store_that_no_pod_can_read_is_said_before_anything_is_made(
    server: Server, on_s3: Storage, bundles: list[Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = (tmp_path / "store").as_uri()
    monkeypatch.setenv("SAILPLANE_STORE", folder)
    with pytest.raises(ConfigurationError, match="Set SAILPLANE_STORE to s3://"):
        execute(bundles[0], Storage(folder), V1)
    assert server.objects.list(SELDON_DEPLOYMENTS) == []


@pytest.mark.parametrize(
    ("behaviour", "told"), [("stuck", "not ready 0 s"), ("crashing", "CrashLoopBackOff"), ("failing", "no longer")]
)
def test_a_version_that_does_not_come_is_rolled_back_and_the_champion_stays(
    server: Server,
    target: CoreV1Target,
    hasty: CoreV1Target,
    ledger: Ledger,
    models: list[Model],
    behaviour: Any,
    told: str,
) -> None:
    one, two, _ = models
    server.seldon.behaviour = {f"v{two.version}": behaviour}
    with Working(server.seldon):
        deploy(target, ledger, one)
        with pytest.raises(DeploymentError, match=told):
            deploy(hasty, ledger, two)
    assert hasty.split() == TrafficSplit({one.version: 100})
    assert hasty.versions() == [one.version]
    assert alias(ledger, NAME, "champion").version == one.version  # type: ignore[union-attr]


def test_a_first_version_that_does_not_come_leaves_nothing(
    server: Server, hasty: CoreV1Target, ledger: Ledger, models: list[Model]
) -> None:
    server.seldon.behaviour = {f"v{models[0].version}": "stuck"}
    with pytest.raises(DeploymentError, match="not ready"):
        deploy(hasty, ledger, models[0])
    assert server.objects.list(SELDON_DEPLOYMENTS) == []


def test_what_is_waited_for_is_told_once(
    server: Server,
    target: CoreV1Target,
    ledger: Ledger,
    models: list[Model],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="sailplane.deployment.rollout.drive")
    with Working(server.seldon, every=0.2):
        deploy(target, ledger, models[0])
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told)) > 2
    assert "has not made" in told[0]


def test_a_task_that_was_killed_between_any_two_requests_goes_on_at_its_retry(
    server: Server, target: CoreV1Target, ledger: Ledger, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def abort(*_: object, **_how: object) -> None:
        raise Killed("a killed process takes nothing back")

    one, two, _ = models
    with Working(server.seldon, every=0.002):
        deploy(target, ledger, one)
    served = {key: deepcopy(value) for key, value in server.objects.stored.items()}
    at, over = 0, False
    while not over:
        at += 1
        server.objects.stored = {key: deepcopy(value) for key, value in served.items()}
        with Working(server.seldon, every=0.002):
            with killed(target.cluster.client, at, after=True), monkeypatch.context() as patch:
                patch.setattr(repository, "abort", abort)
                try:
                    deploy(target, ledger, two)
                except Killed:
                    pass
                else:
                    over = True
            deploy(target, ledger, two)
        assert target.split() == TrafficSplit({two.version: 100}), at
        assert target.versions() == [two.version], at
        assert alias(ledger, NAME, "champion").version == two.version, at  # type: ignore[union-attr]
    assert at > 8
