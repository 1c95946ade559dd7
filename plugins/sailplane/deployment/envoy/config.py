"""Envoy's bootstrap configuration, as a value. https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api

It names two files that Envoy follows: clusters (the address and the health of each model version) and routes (which
path goes to which version, by weight). The files are JSON, which is YAML too, and every answer of Envoy's own is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

TYPE = "type.googleapis.com/envoy"
REQUEST_SECONDS = 30
# Longer than a model server's own deadline.
TRY_SECONDS = 12
# The filter that copies a field of a request's body into a header.
STICKY: Final = "sticky"
_CONNECTIONS = 10_000
# Envoy buffers this many bytes of a connection before it turns to the next one. The larger the buffer, the longer small
# requests wait for large ones.
CONNECTION_BYTES: Final = 128 * 2**10
# The router refuses requests when it uses more memory.
_HEAP_BYTES: Final = 400 * 2**20
_HEAP: Final = "envoy.resource_monitors.fixed_heap"
_GRPC: Final = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}


def bootstrap(
    *, host: str, port: int, admin: Path, clusters: Path, routes: Path, names: Sequence[str] | None
) -> dict[str, Any]:
    """The configuration that Envoy starts with.

    :param admin: the socket of Envoy's admin interface
    :param clusters: the file of clusters
    :param routes: the file of routes
    :param names: the host names that requests may use; None if a token protects the models
    """
    guards = [] if names is None else [_guard(names)]
    return {
        "node": {"id": "sailplane", "cluster": "sailplane"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": _followed(clusters)},
        "static_resources": {"listeners": [_listener(host, port, routes, guards)]},
        "overload_manager": {
            "refresh_interval": "0.1s",
            "resource_monitors": [_connection_limit(), _heap_limit()],
            "actions": [
                _overloaded("envoy.overload_actions.shrink_heap", 0.7),
                _overloaded("envoy.overload_actions.stop_accepting_requests", 0.95),
            ],
        },
    }


def _followed(file: Path) -> dict[str, Any]:
    source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _listener(host: str, port: int, routes: Path, guards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    connection_manager = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "router",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        # A client that sends only half a request holds its connection no longer than this.
        "request_timeout": f"{REQUEST_SECONDS}s",
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {"idle_timeout": "300s"},
        "rds": {"route_config_name": "models", "config_source": _followed(routes)},
        "local_reply_config": {"mappers": _failures()},
        "http_filters": [
            *guards,
            _sticky(),
            {"name": "router", "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"}},
        ],
    }
    return {
        "name": "models",
        "address": {"socket_address": {"address": host, "port_value": port}},
        "per_connection_buffer_limit_bytes": CONNECTION_BYTES,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": connection_manager}]}],
    }


def _sticky() -> dict[str, Any]:
    """The filter of `sticky.lua`, which only routes that name a field enable."""
    source = {"inline_string": Path(__file__).with_name("sticky.lua").read_text()}
    config = {"@type": f"{TYPE}.extensions.filters.http.lua.v3.Lua", "default_source_code": source}
    return {"name": STICKY, "disabled": True, "typed_config": config}


def _guard(names: Sequence[str]) -> dict[str, Any]:
    exact = ", ".join(f'["{name}"] = true' for name in names if "*" not in name)
    suffixes = ", ".join(f'"{name[1:]}"' for name in names if name.startswith("*."))
    any_name = "true" if "*" in names else "false"
    given = f"local EXACT, SUFFIXES, ANY = {{ {exact} }}, {{ {suffixes} }}, {any_name}\n"
    source = {"inline_string": given + Path(__file__).with_name("guard.lua").read_text()}
    config = {"@type": f"{TYPE}.extensions.filters.http.lua.v3.Lua", "default_source_code": source}
    return {"name": "guard", "typed_config": config}


def _connection_limit() -> dict[str, Any]:
    kind = f"{TYPE}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type": kind, "max_active_downstream_connections": _CONNECTIONS},
    }


def _heap_limit() -> dict[str, Any]:
    kind = f"{TYPE}.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig"
    return {"name": _HEAP, "typed_config": {"@type": kind, "max_heap_size_bytes": _HEAP_BYTES}}


def _overloaded(action: str, part: float) -> dict[str, Any]:
    """The action, taken when this part of the heap's limit is used."""
    return {"name": action, "triggers": [{"name": _HEAP, "threshold": {"value": part}}]}


def _failures() -> list[dict[str, Any]]:
    reasons = {
        503: "No healthy server for this model: it is starting, or it failed. See `sailplane status` and the logs.",
        504: f"The model server did not answer within {REQUEST_SECONDS} s. Send fewer rows.",
        400: "No valid HTTP request.",
        408: f"The request was not complete within {REQUEST_SECONDS} s.",
        413: "The request is too large. Send fewer rows.",
        426: "The request's version of HTTP is not supported: send HTTP/1.1 or HTTP/2.",
        431: "The request's headers are too large.",
        501: "The request's transfer coding is not supported: send it chunked, or with its length.",
    }
    grpc = [
        _failure(status, {"text_format_source": {"inline_string": reason}}, _GRPC) for status, reason in reasons.items()
    ]
    json = [_failure(status, {"json_format": _body(status, reason)}) for status, reason in reasons.items()]
    # Only a CONNECT request has no route.
    no_route = {"response_flag_filter": {"flags": ["NR"]}}
    return [*grpc, *json, _failure(404, {"json_format": _body(404, "No such path.")}, no_route)]


def _failure(status: int, body: Mapping[str, Any], *which: Mapping[str, Any]) -> dict[str, Any]:
    code = {"default_value": status, "runtime_key": "no_such_key"}
    of = [{"status_code_filter": {"comparison": {"op": "EQ", "value": code}}}, *which]
    return {"filter": of[0] if len(of) == 1 else {"and_filter": {"filters": of}}, "body_format_override": body}


def _body(status: int, reason: str) -> dict[str, Any]:
    return {
        "error": reason,
        "status": {"code": status, "info": reason, "status": "FAILURE"},
        "flags": "%RESPONSE_FLAGS%",
    }
