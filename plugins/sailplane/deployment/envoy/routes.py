"""Envoy's routes, as values: which path goes to which version.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sailplane.deployment.envoy.clusters import cluster_name, version_of
from sailplane.deployment.envoy.config import REQUEST_SECONDS, STICKY, TRY_SECONDS, TYPE
from sailplane.deployment.target import TrafficSplit
from sailplane.serving.customer_groups import KEY
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.request_id import SHADOW

# The longest wait before a request is retried, in seconds.
LONGEST_BACK_OFF: Final = 0.25
# A longer body is not buffered, so the request is not retried.
_RETRIED_BYTES: Final = 2**20
# Seldon Core v2 routes by this header too, because a router does not see the model's name in a message.
_MODEL: Final = "seldon-model"
_SERVICE: Final = "/inference.GRPCInferenceService/"
# Seldon's own services, and the header in which its client names a deployment.
_SELDON: Final = "/seldon.protos."
_DEPLOYMENT: Final = "seldon"


def routes(splits: Mapping[str, TrafficSplit]) -> dict[str, Any]:
    """The content of Envoy's file of routes, from the split of each model."""
    models = sorted(splits)
    by_model = [route for model in models for route in _model_routes(model, splits[model])]
    grpc = list(_grpc_routes(splits))
    host = {
        "name": "models",
        "domains": ["*"],
        "routes": [*_health(), *by_model, *_only_model(splits), *grpc, _unknown(models)],
        "request_headers_to_remove": [SHADOW],
        "request_body_buffer_limit": _RETRIED_BYTES,
    }
    configuration = {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": "models",
        "virtual_hosts": [host],
    }
    return {"resources": [configuration]}


def splits(resources: list[dict[str, Any]]) -> dict[str, TrafficSplit]:
    """Reads the argument of `routes` back."""
    by_model: dict[str, TrafficSplit] = {}
    hosts = [host for configuration in resources for host in configuration["virtual_hosts"]]
    for route in [route for host in hosts for route in host["routes"]]:
        action = route.get("route", {})
        weights = {version_of(cluster["name"]): cluster["weight"] for cluster in _weighted(action)}
        shadows = [version_of(policy["cluster"])[1] for policy in action.get("request_mirror_policies", [])]
        for model in {model for model, _ in weights}:
            versions = {version: weight for (_, version), weight in weights.items()}
            shadow, field = shadows[0] if shadows else None, _field(route)
            # The first route of a model counts: routes of gRPC, which come later, name no field.
            by_model.setdefault(model, TrafficSplit(versions, shadow, field))
    return by_model


def _weighted(action: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(action.get("weighted_clusters", {}).get("clusters", []))


def _field(route: Mapping[str, Any]) -> str | None:
    config = route.get("typed_per_filter_config", {}).get(STICKY)
    return str(config["filter_context"]["field"]) if config else None


def _model_routes(model: str, split: TrafficSplit) -> list[dict[str, Any]]:
    action = _action(model, split)
    by_path = [
        {"match": {"prefix": f"/seldon/local/{model}/"}, "route": {**action, "prefix_rewrite": "/"}},
        # The path of Seldon's client without a namespace.
        {"match": {"prefix": f"/seldon/{model}/api/"}, "route": {**action, "prefix_rewrite": "/api/"}},
        {"match": {"path_separated_prefix": f"/v2/models/{model}"}, "route": action},
    ]
    if split.sticky is None:
        return by_path
    kind = f"{TYPE}.extensions.filters.http.lua.v3.LuaPerRoute"
    config = {STICKY: {"@type": kind, "filter_context": {"field": split.sticky}}}
    return [{**route, "typed_per_filter_config": config} for route in by_path]


def _only_model(splits: Mapping[str, TrafficSplit]) -> list[dict[str, Any]]:
    """A route without the model's name if there is only one model, because Seldon's client calls a model server so."""
    if len(splits) != 1:
        return []
    [(model, split)] = splits.items()
    return [{"match": {"prefix": "/api/"}, "route": _action(model, split)}]


def _grpc_routes(splits: Mapping[str, TrafficSplit]) -> Iterator[dict[str, Any]]:
    """The routes of gRPC. A call names its model, unless there is only one, or it calls the server's own methods."""
    models = sorted(splits)
    for model in models:
        for path, name in ((_SERVICE, _MODEL), (_SELDON, _DEPLOYMENT), (_SELDON, _MODEL)):
            named = {"name": name, "string_match": {"exact": model}}
            yield {"match": _called(path, named), "route": _action(model, splits[model], grpc=True)}
    unnamed = [{"name": name, "present_match": False} for name in (_MODEL, _DEPLOYMENT)]
    if models:
        path = _SERVICE if len(models) == 1 else f"{_SERVICE}Server"
        yield {"match": _called(path, unnamed[0]), "route": _action(models[0], splits[models[0]], grpc=True)}
    if len(models) == 1:
        yield {"match": _called(_SELDON, *unnamed), "route": _action(models[0], splits[models[0]], grpc=True)}
    served = f"Models that are served: {', '.join(models) or 'none'}."
    yield _refuses(_called(_SERVICE), "5", f"No such model. The metadata `{_MODEL}` says which one. {served}")
    reason = f"No such model. The metadata `{_DEPLOYMENT}` or `{_MODEL}` says which one. {served}"
    yield _refuses(_called(_SELDON), "5", reason)
    services = f"{_SERVICE.strip('/')}, seldon.protos.Seldon or seldon.protos.Model"
    yield _refuses(_called("/"), "12", f"No such service; expected {services}.")


def _called(path: str, *headers: Mapping[str, Any]) -> dict[str, Any]:
    return {"prefix": path, "grpc": {}, "headers": list(headers)}


def _refuses(match: Mapping[str, Any], code: str, reason: str) -> dict[str, Any]:
    """A route that refuses calls with the gRPC `code`."""
    return {
        "match": match,
        "direct_response": {"status": 404, "body": {"inline_string": reason}},
        "response_headers_to_add": [_header("grpc-status", code)],
    }


def _action(model: str, split: TrafficSplit, *, grpc: bool = False) -> dict[str, Any]:
    action: dict[str, Any] = {
        "weighted_clusters": {"clusters": _weights(model, split.weights, grpc=grpc), "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": KEY}}],
        "timeout": f"{REQUEST_SECONDS}s",
        "retry_policy": _retries(alone=len(split.weights) < 2),
    }
    if split.shadow:
        whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        shadow = {"cluster": cluster_name(model, split.shadow, grpc=grpc), "runtime_fraction": whole}
        marked = {"request_headers_mutations": [{"append": _header(SHADOW, "true")}]}
        action["request_mirror_policies"] = [{**shadow, **marked}]
    return action


def _weights(model: str, weights: Mapping[str, int], *, grpc: bool) -> list[dict[str, Any]]:
    """The weighted clusters. For a version that is down, the heaviest of the others stands in."""
    clusters = []
    for version, weight in sorted(weights.items()):
        others = sorted((other for other in weights if other != version), key=lambda other: (-weights[other], other))
        name = cluster_name(model, version, others[0] if others else None, grpc=grpc)
        clusters.append({"name": name, "weight": weight})
    return clusters


def _retries(*, alone: bool) -> dict[str, Any]:
    """A prediction changes nothing, so it is retried if it was not sent completely. Unless the version is `alone`, it
    is also retried with another one after a crash, a failure, a time-out or an answer without numbers."""
    policy: dict[str, Any] = {
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": f"{LONGEST_BACK_OFF}s"},
    }
    if alone:
        return policy
    kind = f"{TYPE}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    name = "envoy.retry_priorities.previous_priorities"
    return policy | {
        "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes,retriable-headers",
        "retriable_status_codes": [422, 500],
        # The gRPC codes for these two.
        "retriable_headers": [{"name": "grpc-status", "string_match": {"safe_regex": {"regex": "9|13"}}}],
        "num_retries": 2,
        "per_try_timeout": f"{TRY_SECONDS}s",
        "retry_priority": {"name": name, "typed_config": {"@type": kind, "update_frequency": 1}},
    }


def _health() -> list[dict[str, Any]]:
    return [
        _says({"path": "/v2/health/live"}, 200, {"live": True}),
        _says({"path": "/v2/health/ready"}, 200, {"ready": True}),
        _says({"path": "/v2"}, 200, open_inference.server()),
    ]


def _unknown(models: list[str]) -> dict[str, Any]:
    served = [f"/seldon/local/{model}/api/v1.0/predictions" for model in models]
    reason = f"No such path. Models that are served: {', '.join(models) or 'none'}."
    status = {"code": 404, "info": reason, "status": "FAILURE"}
    return _says({"prefix": "/"}, 404, {"error": reason, "status": status, "models": models, "endpoints": served})


def _says(match: Mapping[str, str], status: int, body: object) -> dict[str, Any]:
    return {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": json.dumps(body)}},
        "response_headers_to_add": [_header("content-type", "application/json")],
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
