"""The defaults that Seldon Core 1.17.1 adds to a SeldonDeployment, and its refusals besides the schema.
https://github.com/SeldonIO/seldon-core/blob/v1.17.1/operator/apis/machinelearning.seldon.io/v1/seldondeployment_webhook.go"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.kubernetes.refusals import Refused

Object = dict[str, Any]

PREPACKAGED = frozenset(
    {
        "HUGGINGFACE_SERVER",
        "MLFLOW_SERVER",
        "SKLEARN_SERVER",
        "TEMPO_SERVER",
        "TENSORFLOW_SERVER",
        "TRITON_SERVER",
        "XGBOOST_SERVER",
    }
)
CHOICES = {"protocol": {"seldon", "tensorflow", "v2"}, "transport": {"rest", "grpc"}, "serverType": {"rpc", "kafka"}}


def check(found: Object) -> None:
    """Checks the object. Raises Refused with every rule that it violates."""
    if broken := list(rules(found.get("spec", {}))):
        name = found["metadata"]["name"]
        told = f'SeldonDeployment.machinelearning.seldon.io "{name}" is invalid: {"; ".join(broken)}'
        denied = 'admission webhook "v1.vseldondeployment.kb.io" denied the request'
        raise Refused(422, f"{denied}: {told}", causes=broken)


def rules(spec: Object) -> Iterator[str]:
    predictors = spec.get("predictors", [])
    for field, allowed in CHOICES.items():
        if spec.get(field) and spec[field] not in allowed:
            yield f"spec: Invalid value: {spec[field]!r}: Invalid {field}"
    if not predictors:
        yield "spec: Invalid value: Graph contains no predictors"
        return
    for name, times in Counter(one["name"] for one in predictors).items():
        if times > 1:
            yield f"spec.predictors: Invalid value: {name!r}: Duplicate predictor name"
    for number, one in enumerate(predictors):
        yield from _graph(one["graph"], one, f"spec.predictors[{number}].graph")
    yield from _traffic(predictors)


def _traffic(predictors: list[Object]) -> Iterator[str]:
    shadows = [one for one in predictors if one.get("shadow")]
    total = sum(one.get("traffic", 0) for one in predictors if not one.get("shadow"))
    if len(shadows) > 1:
        yield "spec: Invalid value: Multiple shadows are not allowed"
    if any(not 0 <= one.get("traffic", 0) <= 100 for one in shadows):
        yield "spec: Invalid value: shadow traffic is illegal, the traffic number should be between [0, 100]"
    if len(predictors) == 1 and shadows:
        yield "spec.predictors[0]: Invalid value: Shadow can not exist as only predictor"
    if total != 100 and len(predictors) - len(shadows) > 1:
        yield "spec: Invalid value: Traffic must sum to 100 for multiple predictors"
    if 0 < total < 100 and len(predictors) == 1:
        yield "spec: Invalid value: Traffic must sum be 100 for a single predictor when set"


def _graph(node: Object, predictor: Object, path: str) -> Iterator[str]:
    implementation = node.get("implementation") or "UNKNOWN_IMPLEMENTATION"
    if implementation == "UNKNOWN_IMPLEMENTATION" and _container(predictor, node["name"]) is None:
        yield f"{path}: Invalid value: {node['name']!r}: Can't find container for Predictive Unit"
    if implementation in PREPACKAGED and not node.get("modelUri"):
        told = "Predictive unit modelUri required when using standalone servers"
        yield f"{path}: Invalid value: {node['name']!r}: {told}"
    if "logger" in node and not node["logger"].get("mode"):
        yield f"{path}: Invalid value: No logger mode specified"
    for number, child in enumerate(node.get("children", ())):
        yield from _graph(child, predictor, f"{path}[{number}]")


def defaulted(found: Object) -> Object:
    """Sets labels, types, endpoints, and ports by the order of the containers' names, in place."""
    ports: dict[str, int] = {}
    for predictor in found.get("spec", {}).get("predictors", ()):
        predictor.setdefault("labels", {}).setdefault("version", predictor["name"])
        for part in predictor.get("componentSpecs", ()):
            for container in part.get("spec", {}).get("containers", ()):
                ports.setdefault(container["name"], len(ports))
                _wire(predictor["graph"], container, ports[container["name"]])
        _typed(predictor["graph"])
    return found


def _typed(node: Object) -> None:
    if not any(node.get(name) for name in ("type", "methods", "implementation")):
        node["type"] = "MODEL"
    node.setdefault("implementation", "UNKNOWN_IMPLEMENTATION")
    for child in node.get("children", ()):
        _typed(child)


def _wire(node: Object, container: Object, number: int) -> None:
    if node["name"] == container["name"]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        named = {port.get("name"): port["containerPort"] for port in container.setdefault("ports", [])}
        if "metrics" not in named:
            container["ports"].append({"name": "metrics", "containerPort": 6000 + number, "protocol": "TCP"})
        http, grpc = named.get("http", 9000 + number), named.get("grpc", 9500 + number)
        endpoint = {"service_host": "localhost", "service_port": http, "httpPort": http, "grpcPort": grpc}
        node.setdefault("endpoint", {}).update(endpoint)
    for child in node.get("children", ()):
        _wire(child, container, number)


def _container(predictor: Object, name: str) -> Object | None:
    parts = predictor.get("componentSpecs", ())
    containers = [one for part in parts for one in part.get("spec", {}).get("containers", ())]
    return next((one for one in containers if one["name"] == name), None)
