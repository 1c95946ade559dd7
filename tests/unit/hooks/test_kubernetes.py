from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.deployment.kubernetes.cluster import SELDON_DEPLOYMENT
from sailplane.errors import ConfigurationError
from sailplane.hooks.kubernetes import EXTRAS, KubernetesHook
from sailplane.provider import get_provider_info
from tests.kubernetes.certificates import certificate
from tests.kubernetes_server import NAMESPACE, TOKEN, KubernetesServer
from tests.unit.hooks.conftest import Connect

KIND = {"conn_type": "kubernetes"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[KubernetesServer]:
    server = KubernetesServer()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Prevents calls to a cluster of this machine's user."""
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))


def reached() -> str:
    """Returns the namespace of a connection that reaches the cluster."""
    found = KubernetesHook("mine").cluster()
    assert found.list(SELDON_DEPLOYMENT, "") == []
    return found.namespace


@pytest.mark.slow
def test_a_kubeconfig_is_in_the_connection(connect: Connect, cluster: KubernetesServer) -> None:
    connect("mine", **KIND, extra={"kube_config": json.dumps(cluster.config())})
    assert reached() == NAMESPACE
    connect("mine", **KIND, extra={"kube_config": cluster.config(), "namespace": "another"})
    assert reached() == "another"
    connect("mine", **KIND, extra={"extra__kubernetes__kube_config": json.dumps(cluster.config())})
    assert reached() == NAMESPACE


def test_a_kubeconfig_is_in_a_file(connect: Connect, cluster: KubernetesServer, tmp_path: Path) -> None:
    connect("mine", **KIND, extra={"kube_config_path": str(cluster.kubeconfig(tmp_path / "config"))})
    assert reached() == NAMESPACE


def test_without_a_place_it_is_the_kubeconfig_of_whoever_runs_it(
    connect: Connect, cluster: KubernetesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = str(cluster.kubeconfig(tmp_path / "config"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", config)
    connect("mine", **KIND)
    assert reached() == NAMESPACE


def test_the_context_is_the_one_that_is_named(connect: Connect, cluster: KubernetesServer, tmp_path: Path) -> None:
    config = cluster.config()
    other = {"name": "other", "context": {"cluster": "small", "user": "tester", "namespace": "others"}}
    config["contexts"].append(other)
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    for place in ({"kube_config": json.dumps(config)}, {"kube_config_path": str(path)}):
        connect("mine", **KIND, extra={**place, "cluster_context": "other"})
        assert reached() == "others"


def test_inside_a_cluster_the_pods_own_account_is_used(
    connect: Connect, cluster: KubernetesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "ca.crt").write_bytes(certificate()[0])
    (tmp_path / "namespace").write_text("pods\n")
    host, port = cluster.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("sailplane.hooks.kubernetes._NAMESPACE", tmp_path / "namespace")
    for extra in ({"in_cluster": True}, {}):
        connect("mine", **KIND, extra=extra)
        assert reached() == "pods"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"in_cluster": True}, "Service host/port is not set"),
        ({"in_cluster": True, "kube_config_path": "/x"}, "in_cluster and kube_config_path"),
        ({"kube_config_path": "/nowhere/config"}, "/nowhere/config"),
        ({"kube_config": "my-secret-is-no-json"}, "not a kubeconfig"),
        ({"kube_config": "[]"}, "a kubeconfig"),
        ({}, "a kubeconfig"),
    ],
)
def test_what_is_wrong_with_a_connection_is_said(connect: Connect, extra: dict[str, Any], told: str) -> None:
    connect("mine", **KIND, extra=extra)
    with pytest.raises(ConfigurationError, match=told) as raised:
        KubernetesHook("mine").get_conn()
    assert "my-secret" not in str(raised.value)
    good, said = KubernetesHook("mine").test_connection()
    assert not good
    assert told in said


def test_the_connection_is_tested_by_a_request(connect: Connect, cluster: KubernetesServer) -> None:
    connect("mine", **KIND, extra={"kube_config": cluster.config()})
    assert KubernetesHook("mine").test_connection() == (True, f"Seldon Core 1.17 responds in namespace {NAMESPACE}.")
    connect("mine", **KIND, extra={"kube_config": cluster.config("wrong-but-secret")})
    good, said = KubernetesHook("mine").test_connection()
    assert (good, "401" in said, "but-secret" in said) == (False, True, False)


def test_a_connection_that_is_not_there_is_an_error_of_airflow(connect: Connect) -> None:
    with pytest.raises(AirflowNotFoundException):
        KubernetesHook().get_conn()


def test_the_form_has_the_fields_that_are_read() -> None:
    (form,) = [one for one in get_provider_info()["connection-types"] if one["connection-type"] == "kubernetes"]
    assert set(form["conn-fields"]) == set(EXTRAS)
