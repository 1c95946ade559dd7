"""The SeldonDeployment of a model (Seldon Core v1): a predictor a version, traffic in percent. Values in, values out.

The webhook's rules, which no schema holds, are kept here: with several predictors their traffic is 100 in all, one
alone has 0 or 100, a shadow is one at most and does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sailplane.deployment.kubernetes.names import (
    BEGUN,
    CONTAINER,
    DIGEST,
    MANAGED_BY,
    MODEL,
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

# Parameters of `sailplane.serving.SeldonModel`, of which the image's wrapper makes an instance.
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


def predictor(model: Model, workload: CoreV1, begun: datetime) -> Object:
    """Without traffic."""
    described = _described(model, workload)
    annotations = {VERSION: model.version, BEGUN: begun.isoformat(), DIGEST: _digest(described)}
    return {**described, "annotations": annotations, "traffic": 0, "shadow": False}


def with_version(predictors: Sequence[Object], new: Object) -> list[Object]:
    """A version that is there stays as it is, unless it is without traffic and to be another one. Where nothing has
    traffic, what is left over gives way: one predictor alone may be without."""
    if not weights(predictors):
        same = [old for old in predictors if _same(old, new) and not old.get("shadow")]
        return same or [new]
    there = {old["name"] for old in predictors}
    if new["name"] not in there:
        return [*predictors, new]
    return [new if old["name"] == new["name"] and _replaceable(old, new) else old for old in predictors]


def with_split(predictors: Sequence[Object], split: TrafficSplit, model: str) -> list[Object]:
    """Raises DeploymentError for a version that was not begun, and for weights that no webhook lets through."""
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
    """Raises DeploymentError for a version that has traffic."""
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
    """The progress that the operator reports. `state` alone proves nothing: it stays as it was after a change, and
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
    return {version_of(one["name"]) or one["name"]: one for one in found["spec"]["predictors"]}


def _described(model: Model, workload: CoreV1) -> Object:
    """The graph needs a container of its own name, as it names no prepackaged server."""
    parameters = [{"name": URI, "value": model.uri, "type": "STRING"}]
    # The default is left out: versions deployed by earlier releases do not name it, and stay the same.
    if workload.on_violation != DEFAULT:
        parameters.append({"name": ON_VIOLATION, "value": workload.on_violation, "type": "STRING"})
    return {
        "name": predictor_name(model.version),
        "replicas": workload.replicas,
        "graph": {"name": CONTAINER, "type": "MODEL", "parameters": parameters},
        "componentSpecs": [{"spec": _pod(workload)}],
    }


def _pod(workload: CoreV1) -> Object:
    # Not the graph's envSecretRefName and serviceAccountName: they are for the container that fetches a modelUri.
    account = {"serviceAccountName": workload.service_account} if workload.service_account else {}
    # Longer than Seldon's wrapper takes to drain, after the operator's own 10 seconds before the signal.
    return {"containers": [_container(workload)], "terminationGracePeriodSeconds": 40, **account}


def _container(workload: CoreV1) -> Object:
    # Named here, or the webhook numbers them by the index of the predictor in the list.
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
    digests = [one.get("annotations", {}).get(DIGEST) for one in (old, new)]
    return bool(old["name"] == new["name"] and digests[0] == digests[1])


def _replaceable(old: Object, new: Object) -> bool:
    return not old.get("traffic") and not old.get("shadow") and not _same(old, new)


def _with_traffic(old: Object, traffic: int, shadow: bool) -> Object:
    # A shadow's traffic is the part of the requests that it gets a copy of.
    return {**old, "traffic": 100 if shadow else traffic, "shadow": shadow}
