"""Envoy's clusters, as values: where each version listens, when it is healthy, and which version stands in for it.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/cluster.proto
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any, Final, NamedTuple

from sailplane.deployment.envoy.config import CONNECTION_BYTES, TYPE

_NOT_ENFORCED = (
    "enforcing_consecutive_5xx",
    "enforcing_consecutive_gateway_failure",
    "enforcing_success_rate",
    "enforcing_local_origin_success_rate",
)
# By default Envoy retries only 3 requests at the same time: if a version failed on all requests, clients would get the
# rest of the failures. An overloaded server refuses requests itself.
_LIMITS = {
    "thresholds": [
        {"max_connections": 2_000, "max_pending_requests": 2_000, "max_requests": 4_000, "max_retries": 4_000}
    ]
}
_GRPC: Final = "grpc:"


class Ports(NamedTuple):
    """The ports of one server. `grpc` is None for servers of earlier releases, which speak only HTTP."""

    http: int
    grpc: int | None = None


def cluster_name(model: str, version: str, stand_in: str | None = None, *, grpc: bool = False) -> str:
    """The name of a version's cluster; with `stand_in`, that of the pair in which this version answers while the first
    cannot."""
    return (_GRPC if grpc else "") + f"{model}@{version}" + (f"|{stand_in}" if stand_in else "")


def version_of(cluster: str) -> tuple[str, str]:
    """The model and the version of a cluster's name."""
    model, version = cluster.removeprefix(_GRPC).split("|")[0].split("@")
    return model, version


def clusters(ports: Mapping[tuple[str, str], Ports]) -> dict[str, Any]:
    """The content of Envoy's file of clusters. A version has a cluster for HTTP, and another for gRPC. Every two
    versions of a model also form a pair, in both orders, so that a route may name it as soon as both are known.

    :param ports: the ports by (model, version)
    """
    return {"resources": [*_clusters(ports, grpc=False), *_clusters(ports, grpc=True)]}


def ports(resources: list[dict[str, Any]]) -> dict[tuple[str, str], Ports]:
    """Reads the argument of `clusters` back."""
    by_name: dict[str, int] = {}
    for cluster in resources:
        if "load_assignment" in cluster:  # else a pair
            endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
            by_name[cluster["name"]] = endpoint["address"]["socket_address"]["port_value"]
    versions = sorted({version_of(name) for name in by_name})
    return {of: Ports(by_name[cluster_name(*of)], by_name.get(cluster_name(*of, grpc=True))) for of in versions}


def _clusters(ports: Mapping[tuple[str, str], Ports], *, grpc: bool) -> Iterator[dict[str, Any]]:
    speaking = sorted(of for of, port in ports.items() if not grpc or port.grpc)
    for model, version in speaking:
        yield _cluster(model, version, ports[model, version], grpc=grpc)
    for (model, version), (other, stand_in) in permutations(speaking, 2):
        if model == other:
            yield _pair(model, version, stand_in, grpc=grpc)


def _pair(model: str, version: str, stand_in: str, *, grpc: bool) -> dict[str, Any]:
    kind = f"{TYPE}.extensions.clusters.aggregate.v3.ClusterConfig"
    members = [cluster_name(model, version, grpc=grpc), cluster_name(model, stand_in, grpc=grpc)]
    return {
        "@type": f"{TYPE}.config.cluster.v3.Cluster",
        "name": cluster_name(model, version, stand_in, grpc=grpc),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _LIMITS,
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": {"@type": kind, "clusters": members}},
    }


def _cluster(model: str, version: str, port: Ports, *, grpc: bool) -> dict[str, Any]:
    name = cluster_name(model, version, grpc=grpc)
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port.grpc if grpc else port.http}}
    http = {"@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"}
    return {
        "@type": f"{TYPE}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": CONNECTION_BYTES,
        "load_assignment": {
            "cluster_name": name,
            # One process listens on both ports, and is ready on both or on none.
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address, "health_check_config": {"port_value": port.http}}}]}
            ],
        },
        "circuit_breakers": _LIMITS,
        # A version has one server, so Envoy's panic mode would send requests to a server that is known to be dead.
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
        # Failed connections are noticed before the next health check. The model's answers are left to the rollout's
        # checks: a version that has no other beside it must not be ejected for them.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "interval": "0.25s",
            "base_ejection_time": "0.5s",
            "max_ejection_percent": 100,
            **dict.fromkeys(_NOT_ENFORCED, 0),
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                **http,
                "explicit_http_config": {f"http{'2' if grpc else ''}_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": "30s"},
            }
        },
    }
