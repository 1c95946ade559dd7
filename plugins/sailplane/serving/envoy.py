"""Envoy's configuration, as values. https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api

The bootstrap names two files that Envoy follows: clusters (a model version each: its address and health) and routes
(which path goes to which version, by weight). JSON is YAML, and every answer that Envoy makes up is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sailplane.serving import open_inference

_TYPE = "type.googleapis.com/envoy"
_CONNECTIONS = 10_000
_REQUEST_SECONDS = 30


def bootstrap(*, host: str, port: int, admin: Path, clusters: Path, routes: Path) -> dict[str, Any]:
    return {
        "node": {"id": "sailplane", "cluster": "sailplane"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": _followed(clusters)},
        "static_resources": {"listeners": [_listener(host, port, routes)]},
        "overload_manager": {"resource_monitors": [_connection_limit()]},
    }


def cluster_name(model: str, version: str) -> str:
    return f"{model}@{version}"


def clusters(ports: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """`ports` by (model, version)."""
    return {"resources": [_cluster(model, version, port) for (model, version), port in sorted(ports.items())]}


def routes(weights: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """`weights`: percent by version, by model."""
    models = sorted(weights)
    found = [route for model in models for route in _model_routes(model, weights[model])]
    host = {"name": "models", "domains": ["*"], "routes": [*_health(), *found, _unknown(models)]}
    configuration = {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": "models",
        "virtual_hosts": [host],
    }
    return {"resources": [configuration]}


def _followed(file: Path) -> dict[str, Any]:
    source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _listener(host: str, port: int, routes: Path) -> dict[str, Any]:
    connection_manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "router",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        # A client that sends half a request holds nothing for longer than this.
        "request_timeout": f"{_REQUEST_SECONDS}s",
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "rds": {"route_config_name": "models", "config_source": _followed(routes)},
        "local_reply_config": {"mappers": _failures()},
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"}}
        ],
    }
    return {
        "name": "models",
        "address": {"socket_address": {"address": host, "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": connection_manager}]}],
    }


def _connection_limit() -> dict[str, Any]:
    kind = f"{_TYPE}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type": kind, "max_active_downstream_connections": _CONNECTIONS},
    }


def _failures() -> list[dict[str, Any]]:
    reasons = {
        503: "No healthy server for this model: it is starting, or it failed. See `sailplane status` and the logs.",
        504: f"The model server did not answer within {_REQUEST_SECONDS} s. Send fewer rows.",
        400: "No valid HTTP request.",
        408: f"The request was not complete within {_REQUEST_SECONDS} s.",
        413: "The request is too large. Send fewer rows.",
        431: "The request's headers are too large.",
    }
    return [_failure(status, reason) for status, reason in reasons.items()]


def _failure(status: int, reason: str) -> dict[str, Any]:
    code = {"default_value": status, "runtime_key": "no_such_key"}
    body = {
        "error": reason,
        "status": {"code": status, "info": reason, "status": "FAILURE"},
        "flags": "%RESPONSE_FLAGS%",
    }
    return {
        "filter": {"status_code_filter": {"comparison": {"op": "EQ", "value": code}}},
        "body_format_override": {"json_format": body},
    }


def _cluster(model: str, version: str, port: int) -> dict[str, Any]:
    name = cluster_name(model, version)
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    http = {"@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"}
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": name,
        "metadata": {"filter_metadata": {"sailplane": {"model": model, "version": version}}},
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        # With one server a version, a panic would send requests to the one that is known to be dead.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_interval": "0.25s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/v2/health/ready"},
            }
        ],
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                **http,
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": "30s"},
            }
        },
    }


def _model_routes(model: str, weights: Mapping[str, int]) -> list[dict[str, Any]]:
    versions = [{"name": cluster_name(model, v), "weight": weight} for v, weight in sorted(weights.items())]
    action = {
        "weighted_clusters": {"clusters": versions},
        "timeout": f"{_REQUEST_SECONDS}s",
        # A prediction changes nothing, so that it may be sent again where no answer had begun.
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 3,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        },
    }
    return [
        {"match": {"prefix": f"/seldon/local/{model}/"}, "route": {**action, "prefix_rewrite": "/"}},
        {"match": {"path_separated_prefix": f"/v2/models/{model}"}, "route": action},
    ]


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
