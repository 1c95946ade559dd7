"""The router's two files are read back, including those of an earlier release."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from sailplane.deployment.envoy.clusters import Ports, cluster_name, clusters, ports, version_of
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.envoy.routes import routes, splits
from sailplane.deployment.local.endpoint import renew
from sailplane.deployment.local.model_process import ModelProcess
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DeploymentError, ServiceError
from sailplane.home import Home
from sailplane.supervisor import Program, Supervisor

HTTP_ALONE = {
    "name": "flights@a",
    "metadata": {"filter_metadata": {"sailplane": {"model": "flights", "version": "a"}}},
    "load_assignment": {
        "cluster_name": "flights@a",
        "endpoints": [
            {
                "lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 20001}}}}
                ]
            }
        ],
    },
}
ROUTES_OF_HTTP = {
    "virtual_hosts": [
        {
            "routes": [
                {"match": {"path": "/v2/health/live"}, "direct_response": {"status": 200}},
                {
                    "match": {"prefix": "/seldon/local/flights/"},
                    "route": {
                        "weighted_clusters": {
                            "clusters": [{"name": "flights@a|b", "weight": 90}, {"name": "flights@b|a", "weight": 10}]
                        }
                    },
                },
            ]
        }
    ]
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.find({"SAILPLANE_PROJECT": str(tmp_path), "SAILPLANE_HOME": str(tmp_path / "home")})


def test_ports_are_read_as_they_were_written() -> None:
    written = {("digits", "c"): Ports(3, 4), ("flights", "a"): Ports(1), ("flights", "b"): Ports(5, 6)}
    resources = clusters(written)["resources"]
    assert ports(resources) == written
    names = [cluster["name"] for cluster in resources]
    assert len(names) == len(set(names))
    assert {version_of(name) for name in names} == set(written)
    pairs = {cluster_name("flights", one, other) for one, other in permutations("ab", 2)}
    assert pairs < set(names)
    assert cluster_name("flights", "a", grpc=True) not in names, "it speaks HTTP alone"


def test_splits_are_read_as_they_were_written() -> None:
    written = {
        "flights": TrafficSplit({"a": 90, "b": 10}),
        "digits": TrafficSplit({"c": 100}, shadow="d", sticky="a field"),
    }
    assert splits(routes(written)["resources"]) == written
    assert splits(routes({})["resources"]) == {}


def test_what_an_earlier_release_routed_is_routed_on_beside_what_is_new(home: Home) -> None:
    router = Router(home)
    router.write_bootstrap()
    for name, resource in (("cds.yaml", HTTP_ALONE), ("rds.yaml", ROUTES_OF_HTTP)):
        (router.folder / name).write_text(json.dumps({"resources": [resource]}))
    assert router.ports() == {("flights", "a"): 20001}
    assert router.splits() == {"flights": TrafficSplit({"a": 90, "b": 10})}
    router.add("flights", "b", 20002, 20003)
    router.split("flights", TrafficSplit({"a": 50, "b": 50}))
    assert router.ports() == {("flights", "a"): 20001, ("flights", "b"): 20002}
    assert router.splits() == {"flights": TrafficSplit({"a": 50, "b": 50})}


def test_no_version_is_routed_that_is_gone_and_none_goes_that_is_routed(home: Home) -> None:
    router = Router(home)
    router.add("flights", "a", 20001)
    router.add("flights", "b", 20002)
    router.split("flights", TrafficSplit({"a": 50, "b": 50}))
    with pytest.raises(ServiceError, match="stop flights b: it has 50% of the traffic"):
        router.remove("flights", "b")
    router.split("flights", TrafficSplit({"a": 100}))
    router.remove("flights", "b")
    with pytest.raises(DeploymentError, match="route flights: b is not served"):
        router.split("flights", TrafficSplit({"a": 50, "b": 50}))
    assert router.splits() == {"flights": TrafficSplit({"a": 100})}
    assert router.ports() == {("flights", "a"): 20001}


def test_a_program_of_an_earlier_release_gets_a_port_for_grpc_and_keeps_its_own(home: Home) -> None:
    process = ModelProcess(home, supervisor := Supervisor(home), "flights", "a")
    supervisor.put(Program(process.program, ("server", "--bundle", "b", "--port", "20001")))
    assert (process.port, process.grpc_port) == (20001, None)
    Router(home).add("flights", "a", process.port)
    renew(home)
    assert process.port == 20001
    assert process.grpc_port not in (None, 20001)
    cds = json.loads((Router(home).folder / "cds.yaml").read_text())["resources"]
    assert ports(cds) == {("flights", "a"): Ports(20001, process.grpc_port)}
    [file] = (home.supervisor / "conf.d").iterdir()
    written = file.read_text()
    renew(home)
    assert file.read_text() == written
