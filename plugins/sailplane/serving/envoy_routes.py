"""Which path goes to which version, as values.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sailplane.serving import open_inference
from sailplane.serving.envoy import REQUEST_SECONDS, TRY_SECONDS, TYPE
from sailplane.serving.envoy_clusters import cluster_name, version_of
from sailplane.serving.target import Split

# Requests with the same value go to the same version as long as the weights are the same, and as a weight grows, those
# that it has stay with it.
STICKY: Final = "x-sailplane-key"
# Seconds that a request waits at most before it is sent again.
LONGEST_BACK_OFF: Final = 0.25


def routes(splits: Mapping[str, Split]) -> dict[str, Any]:
    """By model."""
    models = sorted(splits)
    found = [route for model in models for route in _model_routes(model, splits[model])]
    host = {"name": "models", "domains": ["*"], "routes": [*_health(), *found, _unknown(models)]}
    configuration = {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": "models",
        "virtual_hosts": [host],
    }
    return {"resources": [configuration]}


def splits(resources: list[dict[str, Any]]) -> dict[str, Split]:
    """What `routes` was given, by model."""
    found: dict[str, Split] = {}
    for route in [route for one in resources for host in one["virtual_hosts"] for route in host["routes"]]:
        action = route.get("route", {})
        weights = {version_of(cluster["name"]): cluster["weight"] for cluster in _weighted(action)}
        shadows = [version_of(policy["cluster"])[1] for policy in action.get("request_mirror_policies", [])]
        for model in {model for model, _ in weights}:
            versions = {version: weight for (_, version), weight in weights.items()}
            found[model] = Split(versions, shadows[0] if shadows else None)
    return found


def _weighted(action: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(action.get("weighted_clusters", {}).get("clusters", []))


def _model_routes(model: str, split: Split) -> list[dict[str, Any]]:
    action = {
        "weighted_clusters": {"clusters": _weights(model, split.weights), "use_hash_policy": True},
        "hash_policy": [{"header": {"header_name": STICKY}}],
        "timeout": f"{REQUEST_SECONDS}s",
        "retry_policy": _again(alone=len(split.weights) < 2),
    }
    if split.shadow:
        whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        shadow = {"cluster": cluster_name(model, split.shadow), "runtime_fraction": whole}
        action["request_mirror_policies"] = [shadow]
    return [
        {"match": {"prefix": f"/seldon/local/{model}/"}, "route": {**action, "prefix_rewrite": "/"}},
        {"match": {"path_separated_prefix": f"/v2/models/{model}"}, "route": action},
    ]


def _weights(model: str, weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """The heaviest of the others stands in for a version that is down."""
    found = []
    for version, weight in sorted(weights.items()):
        others = sorted((other for other in weights if other != version), key=lambda other: (-weights[other], other))
        found.append({"name": cluster_name(model, version, others[0] if others else None), "weight": weight})
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
        "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
        "retriable_status_codes": [422, 500],
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
    header = {
        "header": {"key": "content-type", "value": "application/json"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    return {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": json.dumps(body)}},
        "response_headers_to_add": [header],
    }
