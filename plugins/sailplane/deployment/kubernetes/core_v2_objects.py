"""The objects of a model on Seldon Core v2: one Model for each version, and one Experiment that splits the traffic.
Values in, values out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.kubernetes.names import (
    DIGEST,
    MANAGED_BY,
    MODEL,
    STARTED,
    VERSION,
    object_name,
    predictor_name,
)
from sailplane.deployment.kubernetes.workloads import CoreV2
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError
from sailplane.records import Model
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.violations import DEFAULT

Object = dict[str, Any]

_API = "mlops.seldon.io/v1alpha1"


def version_name(model: str, version: str) -> str:
    return f"{object_name(model)}-{predictor_name(version)}"


def labels(model: str) -> dict[str, str]:
    return {**dict([MANAGED_BY]), MODEL: object_name(model)}


def model_object(model: Model, workload: CoreV2, started: datetime) -> Object:
    """The Model of a version that is started now."""
    secret = {"secretName": workload.secret} if workload.secret else {}
    parameters = {"parameters": [{"name": "on_violation", "value": workload.on_violation}]}
    # The default is omitted, so that versions deployed by earlier releases, which do not name it, stay the same.
    parameters = parameters if workload.on_violation != DEFAULT else {}
    spec = {
        "storageUri": model.uri,
        "requirements": list(workload.requirements),
        "memory": workload.memory,
        "replicas": workload.replicas,
        **secret,
        **parameters,
    }
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
    annotations = {MODEL: model.name, VERSION: model.version, STARTED: started.isoformat(), DIGEST: digest}
    metadata = {
        "name": version_name(model.name, model.version),
        "labels": labels(model.name),
        "annotations": annotations,
    }
    return {"apiVersion": _API, "kind": "Model", "metadata": metadata, "spec": spec}


def experiment(model: str, split: TrafficSplit) -> Object:
    """The Experiment of a split. Raises DeploymentError for weights that do not add up to 100."""
    weights = {version: weight for version, weight in split.weights.items() if weight}
    if sum(weights.values()) != 100:
        raise DeploymentError("split the traffic of", model, got=f"{dict(split.weights)}", expected="100 in all")
    candidates = [{"name": version_name(model, version), "weight": weight} for version, weight in weights.items()]
    shadow = {"mirror": {"name": version_name(model, split.shadow), "percent": 100}} if split.shadow else {}
    metadata = {"name": object_name(model), "labels": labels(model), "annotations": {MODEL: model}}
    return {
        "apiVersion": _API,
        "kind": "Experiment",
        "metadata": metadata,
        "spec": {"candidates": candidates, **shadow},
    }


def split(found: Mapping[str, Any], model: str) -> TrafficSplit:
    """The split of an Experiment."""
    spec, start = found["spec"], len(version_name(model, ""))
    weights = {candidate["name"][start:]: int(candidate["weight"]) for candidate in spec["candidates"]}
    return TrafficSplit(weights, spec["mirror"]["name"][start:] if spec.get("mirror") else None)


def readiness(found: Mapping[str, Any]) -> VersionProgress:
    """The progress that the operator reports for a Model."""
    status = found.get("status") or {}
    observed, changed = status.get("observedGeneration"), found["metadata"].get("generation", 0)
    ready = next((condition for condition in status.get("conditions", ()) if condition["type"] == "Ready"), None)
    if ready is None or (observed is not None and observed < changed):
        return VersionProgress("starting", "Seldon's operator has not looked at it yet")
    if ready["status"] == "True":
        return VersionProgress("ready")
    reason = ": ".join(filter(None, (ready.get("reason"), ready.get("message")))) or "it is not Ready"
    return VersionProgress("failed" if ready.get("reason") == "ModelFailed" else "starting", reason)


def request(bundle: Bundle) -> Object:
    """The golden rows as a request of the Open Inference Protocol."""
    rows = bundle.golden_records
    tensors = open_inference.metadata(bundle.manifest, bundle.version)["inputs"]
    inputs = [{**tensor, "shape": [len(rows)], "data": [row[tensor["name"]] for row in rows]} for tensor in tensors]
    return {"inputs": inputs}


def scores(answer: Mapping[str, Any]) -> list[list[float]]:
    """The scores in a response of the Open Inference Protocol, by row."""
    (output,) = answer["outputs"]
    rows, columns = output["shape"]
    return [output["data"][start : start + columns] for start in range(0, rows * columns, columns)]
