"""The real kubectl, of any age, on our objects. Debian's version is of 2021 and checks fields only with a schema in
another form."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v2 import CoreV2Target
from sailplane.deployment.target import TrafficSplit
from sailplane.records import Model
from tests.kubernetes_server import KubernetesServer
from tests.programs import find

Kubectl = Callable[..., str]
STRICT = 27  # The first minor version that lets the server check.

pytestmark = pytest.mark.needs("kubectl")


def run(config: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(config.parent)}
    command = [find("kubectl") or "", *arguments]
    return subprocess.run(command, env=environment, input=given, capture_output=True, text=True, timeout=60)


@pytest.fixture
def config(server: KubernetesServer, tmp_path: Path) -> Path:
    return server.kubeconfig(tmp_path / "config")


@pytest.fixture
def kubectl(config: Path) -> Kubectl:
    def call(*arguments: str, given: str = "") -> str:
        ended = run(config, *arguments, given=given)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return call


def manifest(kubectl: Kubectl, *which: str) -> dict[str, Any]:
    return dict(json.loads(kubectl("get", *which, "-o", "json")))


def test_kubectl_sees_what_a_rollout_does(
    server: KubernetesServer, kubectl: Kubectl, target: CoreV1Target, models: list[Model]
) -> None:
    one, two, _ = models
    target.begin(one)
    server.seldon.look(3)
    target.move(TrafficSplit({one.version: 100}))
    target.begin(two)
    server.seldon.look(3)
    target.move(TrafficSplit({one.version: 90, two.version: 10}))
    assert (
        kubectl("get", "sdep", "-l", "app.kubernetes.io/managed-by=sailplane", "-o", "name")
        .strip()
        .endswith("/flights")
    )
    shown = kubectl("get", "sdep", "flights", "-o", "jsonpath={.spec.predictors[*].traffic} {.status.state}")
    assert shown == "90 10 Available"
    assert kubectl("get", "deployments", "-o", "name").count("flights-v") == 2


def test_what_kubectl_changes_meanwhile_stays(
    server: KubernetesServer, kubectl: Kubectl, target: CoreV1Target, models: list[Model]
) -> None:
    one, two, _ = models
    target.begin(one)
    server.seldon.look(3)
    target.move(TrafficSplit({one.version: 100}))
    kubectl("annotate", "sdep", "flights", "team=ada")
    kubectl("patch", "sdep", "flights", "--type=merge", "-p", '{"spec": {"annotations": {"a": "b"}}}')
    patch = [{"op": "replace", "path": "/spec/predictors/0/replicas", "value": 4}]
    kubectl("patch", "sdep", "flights", "--type=json", "-p", json.dumps(patch))
    target.begin(two)
    found = manifest(kubectl, "sdep", "flights")
    assert found["metadata"]["annotations"]["team"] == "ada"
    assert found["spec"]["annotations"] == {"a": "b"}
    assert [each["replicas"] for each in found["spec"]["predictors"]] == [4, 1]


def test_what_we_write_kubectl_applies_as_it_is(
    kubectl: Kubectl, target: CoreV1Target, target_v2: CoreV2Target, models: list[Model]
) -> None:
    """In both directions: the server knows every field, and no field is lost."""
    target.begin(models[0])
    target_v2.begin(models[0])
    for which in (("sdep", "flights"), ("models.mlops.seldon.io", f"flights-v{models[0].version}")):
        found = manifest(kubectl, *which)
        kubectl("delete", *which)
        made = {part: found[part] for part in ("apiVersion", "kind", "spec")}
        made["metadata"] = {part: found["metadata"][part] for part in ("name", "labels", "annotations")}
        kubectl("apply", "--server-side", "--validate=false", "-f", "-", given=json.dumps(made))
        kubectl("apply", "--validate=false", "-f", "-", given=json.dumps(made))
        assert manifest(kubectl, *which)["spec"] == found["spec"]


def test_a_misspelt_field_is_refused_to_kubectl_too(config: Path, kubectl: Kubectl, models: list[Model]) -> None:
    model = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Model", "metadata": {"name": "m"}}
    wrong = json.dumps({**model, "spec": {"storageUri": models[0].uri, "replica": 2}})
    version = json.loads(kubectl("version", "--client", "-o", "json"))["clientVersion"]
    if int(version["minor"].rstrip("+")) >= STRICT:
        ended = run(config, "apply", "-f", "-", given=wrong)
    else:
        raw = "/apis/mlops.seldon.io/v1alpha1/namespaces/models/models?fieldValidation=Strict"
        ended = run(config, "create", "--raw", raw, "-f", "-", given=wrong)
    assert ended.returncode != 0
    assert "spec.replica" in ended.stdout + ended.stderr


def test_kubectl_watches_until_the_condition_comes(
    server: KubernetesServer, config: Path, target_v2: CoreV2Target, models: list[Model]
) -> None:
    target_v2.begin(models[0])
    server.seldon.look()
    which = f"models.mlops.seldon.io/flights-v{models[0].version}"
    command = [find("kubectl") or "", "wait", "--for=condition=Ready", which, "--timeout=60s"]
    environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(config.parent)}
    waiting = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        with server.objects.lock:
            assert server.objects.lock.wait_for(lambda: server.watching, 30)
        assert waiting.poll() is None
        server.seldon.look()
        assert "condition met" in waiting.communicate(timeout=60)[0]
    finally:
        waiting.kill()
        waiting.wait()


def test_what_a_cluster_needs_is_applied_with_one_command(kubectl: Kubectl) -> None:
    folder = Path(__file__).parents[4] / "docker" / "kubernetes"
    said = kubectl("apply", "--validate=false", "-k", str(folder))
    assert said.count("created") == 4
    assert kubectl("apply", "--validate=false", "-k", str(folder)).count("unchanged") == 4
