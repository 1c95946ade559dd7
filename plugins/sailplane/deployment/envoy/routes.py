"""Which path goes to which version, as values.

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

# Seconds that a request waits at most before it is sent again.
LONGEST_BACK_OFF: Final = 0.25
# A longer body is not kept, and not sent again.
_SENT_AGAIN_BYTES: Final = 2**20
# By which Seldon Core v2 routes as well: the model's name within a message is not seen here.
_MODEL: Final = "seldon-model"
_SERVICE: Final = "/inference.GRPCInferenceService/"
# Seldon's own services, and how its client names a deployment.
_SELDON: Final = "/seldon.protos."
_DEPLOYMENT: Final = "seldon"


def routes(splits: Mapping[str, TrafficSplit]) -> dict[str, Any]:
    """By model."""
    models = sorted(splits)
    found = [route for model in models for route in _model_routes(model, splits[model])]
    called = list(_grpc_routes(splits))
    host = {
        "name": "models",
        "domains": ["*"],
        "routes": [*_health(), *found, *_only_model(splits), *called, _unknown(models)],
        "request_headers_to_remove": [SHADOW],
        "request_body_buffer_limit": _SENT_AGAIN_BYTES,
    }
    configuration = {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": "models",
        "virtual_hosts": [host],
    }
    return {"resources": [configuration]}


def splits(resources: list[dict[str, Any]]) -> dict[str, TrafficSplit]:
    """Reads the argument of `routes` back."""
    found: dict[str, TrafficSplit] = {}
    for route in [route for one in resources for host in one["virtual_hosts"] for route in host["routes"]]:
        action = route.get("route", {})
        weights = {version_of(cluster["name"]): cluster["weight"] for cluster in _weighted(action)}
        shadows = [version_of(policy["cluster"])[1] for policy in action.get("request_mirror_policies", [])]
        for model in {model for model, _ in weights}:
            versions = {version: weight for (_, version), weight in weights.items()}
            shadow, field = shadows[0] if shadows else None, _field(route)
            # Routes of gRPC name no field.
            found.setdefault(model, TrafficSplit(versions, shadow, field))
    return found


def _weighted(action: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(action.get("weighted_clusters", {}).get("clusters", []))


def _field(route: Mapping[str, Any]) -> str | None:
    config = route.get("typed_per_filter_config", {}).get(STICKY)
    return str(config["filter_context"]["field"]) if config else None


def _model_routes(model: str, split: TrafficSplit) -> list[dict[str, Any]]:
    action = _action(model, split)
    found = [
        {"match": {"prefix": f"/seldon/local/{model}/"}, "route": {**action, "prefix_rewrite": "/"}},
        # The path of Seldon's client without a namespace.
        {"match": {"prefix": f"/seldon/{model}/api/"}, "route": {**action, "prefix_rewrite": "/api/"}},
        {"match": {"path_separated_prefix": f"/v2/models/{model}"}, "route": action},
    ]
    if split.sticky is None:
        return found
    kind = f"{TYPE}.extensions.filters.http.lua.v3.LuaPerRoute"
    config = {STICKY: {"@type": kind, "filter_context": {"field": split.sticky}}}
    return [{**route, "typed_per_filter_config": config} for route in found]


def _only_model(splits: Mapping[str, TrafficSplit]) -> list[dict[str, Any]]:
    """A route without the model's name, if there is one model: Seldon's client calls a model server so."""
    if len(splits) != 1:
        return []
    [(model, split)] = splits.items()
    return [{"match": {"prefix": "/api/"}, "route": _action(model, split)}]


def _grpc_routes(splits: Mapping[str, TrafficSplit]) -> Iterator[dict[str, Any]]:
    """A call says which model it means; where there is one only, and of what is the server's own, it need not."""
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
    """`code`: of gRPC."""
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
        "retry_policy": _again(alone=len(split.weights) < 2),
    }
    if split.shadow:
        whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        shadow = {"cluster": cluster_name(model, split.shadow, grpc=grpc), "runtime_fraction": whole}
        marked = {"request_headers_mutations": [{"append": _header(SHADOW, "true")}]}
        action["request_mirror_policies"] = [{**shadow, **marked}]
    return action


def _weights(model: str, weights: Mapping[str, int], *, grpc: bool) -> list[dict[str, Any]]:
    """The heaviest of the others stands in for a version that is down."""
    found = []
    for version, weight in sorted(weights.items()):
        others = sorted((other for other in weights if other != version), key=lambda other: (-weights[other], other))
        name = cluster_name(model, version, others[0] if others else None, grpc=grpc)
        found.append({"name": name, "weight": weight})
    return found


def _again(*, alone: bool) -> dict[str, Any]:
    """A prediction changes nothing, so that it may be sent again where it was not sent whole; and where another version
    is at hand, also where the first one died over it, failed on it, hangs, or gave no numbers."""
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
        # The codes of gRPC for these two.
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
