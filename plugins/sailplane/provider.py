"""Describes this package to Airflow as a provider."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from sailplane import __doc__ as description

ALGORITHMIA: Final = {
    "connection-type": "algorithmia",
    "hook-class-name": "sailplane.hooks.algorithmia.AlgorithmiaHook",
    "hook-name": "Algorithmia",
    "ui-field-behaviour": {
        "hidden-fields": ["login", "port", "schema", "extra"],
        "relabeling": {"host": "Endpoint", "password": "API key"},
        "placeholders": {"host": "http://localhost:9010"},
    },
}

WANDB: Final = {
    "connection-type": "wandb",
    "hook-class-name": "sailplane.hooks.wandb.WandbHook",
    "hook-name": "Weights & Biases",
    "ui-field-behaviour": {
        "hidden-fields": ["port", "schema", "extra"],
        "relabeling": {"host": "Server", "login": "Entity", "password": "API key"},
        "placeholders": {"host": "W&B's own, or https://wandb.example.com", "login": "the key's own, or a team"},
    },
}


def _field(label: str, kind: str, **schema: str) -> dict[str, Any]:
    return {"label": label, "schema": {"type": [kind, "null"], **schema}}


# Airflow's own provider of Kubernetes has the same type with the same fields, and more.
KUBERNETES: Final = {
    "connection-type": "kubernetes",
    "hook-class-name": "sailplane.hooks.kubernetes.KubernetesHook",
    "hook-name": "Kubernetes Cluster Connection",
    "conn-fields": {
        "in_cluster": _field("In cluster configuration", "boolean"),
        "kube_config_path": _field("Kube config path", "string"),
        "kube_config": _field("Kube config (JSON format)", "string", format="password"),
        "namespace": _field("Namespace", "string"),
        "cluster_context": _field("Cluster context", "string"),
        "disable_verify_ssl": _field("Disable SSL", "boolean"),
    },
    "ui-field-behaviour": {"hidden-fields": ["host", "schema", "login", "password", "port", "extra"], "relabeling": {}},
}


def _connection_types() -> list[dict[str, Any]]:
    try:
        version("apache-airflow-providers-cncf-kubernetes")
    except PackageNotFoundError:
        return [ALGORITHMIA, KUBERNETES, WANDB]
    return [ALGORITHMIA, WANDB]


def get_provider_info() -> dict[str, Any]:
    return {
        "package-name": "sailplane",
        "name": "Sailplane",
        "description": description,
        "versions": ["0.1.0"],
        "filesystems": [f"sailplane.filesystems.{scheme}" for scheme in ("data", "hf", "s3")],
        "connection-types": _connection_types(),
        "extra-links": ["sailplane.operators.links.ReportLink"],
    }
