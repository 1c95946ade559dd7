"""The SeldonDeployment of a model (Seldon Core v1): one predictor for each version, traffic in percent. Values in,
values out.

This module keeps to the webhook's rules, which no schema states: the traffic of several predictors adds up to 100, a
single one has 0 or 100, and there is at most one shadow, which does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sailplane.deployment.kubernetes.names import (
    CONTAINER,
    DIGEST,
    MANAGED_BY,
    MODEL,
    STARTED,
    VERSION,
    deployment_name,
    object_name,
    predictor_name,
    version_of,
)
from sailplane.deployment.kubernetes.workloads import CoreV1
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError
from sailplane.records import Model
from sailplane.serving.violations import DEFAULT

Object = dict[str, Any]

# The parameters of `sailplane.serving.SeldonModel`, which the image's wrapper instantiates.
URI: Final = "model_uri"
ON_VIOLATION: Final = "on_violation"

_UNPRIVILEGED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
}
HTTP_PORT: Final = 9000
_PORTS: Final = (("http", HTTP_PORT), ("grpc", 9500), ("metrics", 6000))


def seldon_deployment(model: Model, predictors: Sequence[Object]) -> Object:
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {
            "name": object_name(model.name),
            "labels": dict([MANAGED_BY]),
            "annotations": {MODEL: model.name},
        },
        "spec": {"protocol": "seldon", "predictors": list(predictors)},
    }


def predictor(model: Model, workload: CoreV1, started: datetime) -> Object:
    """The predictor of a version that is started now, without traffic."""
    described = _described(model, workload)
    annotations = {VERSION: model.version, STARTED: started.isoformat(), DIGEST: _digest(described)}
    return {**described, "annotations": annotations, "traffic": 0, "shadow": False}


def with_version(predictors: Sequence[Object], new: Object) -> list[Object]:
    """The predictors with the new one. The version's existing predictor stays, unless it has no traffic and differs. If
    no predictor has traffic, only the version's remains, because only a single predictor may be without traffic."""
    if not weights(predictors):
        same = [old for old in predictors if _same(old, new) and not old.get("shadow")]
        return same or [new]
    if new["name"] not in {old["name"] for old in predictors}:
        return [*predictors, new]
    return [new if old["name"] == new["name"] and _replaceable(old, new) else old for old in predictors]


def with_split(predictors: Sequence[Object], split: TrafficSplit, model: str) -> list[Object]:
    """The predictors with the traffic of the split. Raises DeploymentError for a version that was not started, and for
    weights that the webhook would refuse."""
    wanted = {predictor_name(version): weight for version, weight in split.weights.items() if weight}
    shadow = predictor_name(split.shadow) if split.shadow else ""
    known = [old["name"] for old in predictors]
    if missing := sorted({*wanted, shadow} - {*known, ""}):
        raise DeploymentError("split the traffic of", model, got=f"no predictor {missing[0]}", expected=known)
    if sum(wanted.values()) != 100 and (wanted or len(predictors) > 1):
        raise DeploymentError(
            "split the traffic of", model, got=f"weights {dict(split.weights)}", expected="100 in all"
        )
    return [_with_traffic(old, wanted.get(old["name"], 0), old["name"] == shadow) for old in predictors]


def without_version(predictors: Sequence[Object], version: str, model: str) -> list[Object]:
    """The predictors without the version's. Raises DeploymentError if the version has traffic."""
    name = predictor_name(version)
    if weight := weights(predictors).get(version):
        remedy = "Move its traffic first."
        raise DeploymentError("stop", f"{model} {version}", got=f"{weight} percent of the traffic", remedy=remedy)
    return [old for old in predictors if old["name"] != name]


def split(predictors: Sequence[Object]) -> TrafficSplit:
    shadows = [version_of(old["name"]) for old in predictors if old.get("shadow")]
    return TrafficSplit(weights(predictors), shadows[0] if shadows else None)


def weights(predictors: Sequence[Object]) -> dict[str, int]:
    counted = [old for old in predictors if old.get("traffic") and not old.get("shadow")]
    return {version_of(old["name"]) or old["name"]: int(old["traffic"]) for old in counted}


def availability(found: Mapping[str, Any], model: str, version: str) -> VersionProgress:
    """The progress that the operator reports. `state` alone proves nothing: it keeps its old value after a change, and
    `observedGeneration` is never set. Only the key of a new predictor shows that the operator has seen it."""
    status = found.get("status") or {}
    state, key = status.get("state"), deployment_name(model, version)
    seen = (status.get("deploymentStatus") or {}).get(key)
    if seen is None:
        why = f" ({status['description']})" if status.get("description") else ""
        return VersionProgress("starting", f"Seldon's operator has not made {key} yet{why}")
    available, wanted = seen.get("availableReplicas", 0), replicas(found, version)
    # The state may be that of any predictor, so it says nothing about a version that gets requests already.
    if available >= wanted and (state == "Available" or is_routed(predictors_by_version(found)[version])):
        return VersionProgress("ready")
    if state == "Failed" and available < wanted:
        return VersionProgress(
            "failed", status.get("description") or f"the state of {found['metadata']['name']} is Failed"
        )
    return VersionProgress("starting", f"{available} of {wanted} pods of {key} are available, the state is {state}")


def is_routed(predictor: Mapping[str, Any]) -> bool:
    """True if the predictor gets requests, or copies of them."""
    return bool(predictor.get("traffic") or predictor.get("shadow"))


def replicas(found: Mapping[str, Any], version: str) -> int:
    return int(predictors_by_version(found)[version].get("replicas", 1))


def predictors_by_version(found: Mapping[str, Any]) -> dict[str, Object]:
    predictors = found["spec"]["predictors"]
    return {version_of(predictor["name"]) or predictor["name"]: predictor for predictor in predictors}


def _described(model: Model, workload: CoreV1) -> Object:
    """The predictor's description. Its graph names no prepackaged server, so it needs a container of its own name."""
    parameters = [{"name": URI, "value": model.uri, "type": "STRING"}]
    # The default is omitted, so that versions deployed by earlier releases, which do not name it, stay the same.
    if workload.on_violation != DEFAULT:
        parameters.append({"name": ON_VIOLATION, "value": workload.on_violation, "type": "STRING"})
    return {
        "name": predictor_name(model.version),
        "replicas": workload.replicas,
        "graph": {"name": CONTAINER, "type": "MODEL", "parameters": parameters},
        "componentSpecs": [{"spec": _pod(workload)}],
    }


def _pod(workload: CoreV1) -> Object:
    # The graph's envSecretRefName and serviceAccountName apply only to the container that fetches a modelUri.
    account = {"serviceAccountName": workload.service_account} if workload.service_account else {}
    # Longer than Seldon's wrapper takes to drain, after the operator's own 10 seconds before the signal.
    return {"containers": [_container(workload)], "terminationGracePeriodSeconds": 40, **account}


def _container(workload: CoreV1) -> Object:
    # Without fixed ports, the webhook would assign them by the predictor's index in the list.
    ports = [{"name": name, "containerPort": number, "protocol": "TCP"} for name, number in _PORTS]
    secret = {"envFrom": [{"secretRef": {"name": workload.secret}}]} if workload.secret else {}
    return {
        "name": CONTAINER,
        "image": workload.image,
        "ports": ports,
        "env": [{"name": name, "value": value} for name, value in sorted(workload.environment.items())],
        "resources": {kind: dict(amounts) for kind, amounts in workload.resources.items()},
        "readinessProbe": {"httpGet": {"path": "/health/ping", "port": "http"}, "periodSeconds": 5},
        "securityContext": _UNPRIVILEGED,
        **secret,
    }


def _digest(described: Object) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]


def _same(old: Object, new: Object) -> bool:
    digests = {predictor.get("annotations", {}).get(DIGEST) for predictor in (old, new)}
    return bool(old["name"] == new["name"] and len(digests) == 1)


def _replaceable(old: Object, new: Object) -> bool:
    return not old.get("traffic") and not old.get("shadow") and not _same(old, new)


def _with_traffic(old: Object, traffic: int, shadow: bool) -> Object:
    # A shadow's traffic is the percentage of requests that are copied to it.
    return {**old, "traffic": 100 if shadow else traffic, "shadow": shadow}
