"""The router, seen from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import psutil

from sailplane.deployment.envoy.router import Router, router_program
from sailplane.deployment.http_client import call, wait_until
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.integration.deployment.routed import deploy
from tests.ports import free_port

Registered = Callable[..., Model]


def test_everything_listens_on_loopback_and_files_are_private(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    deploy(platform, ledger, storage, registered("run-1"))
    assert supervisor.pid
    family = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children(recursive=True)]
    listening = [c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    # gRPC's sockets are IPv6 and write the address in this form.
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert len(listening) >= 2
    open_to_others = [path for path in platform.root.rglob("*") if path.lstat().st_mode & 0o077]
    ours = [path for path in open_to_others if platform.root / "store" not in path.parents and path.is_file()]
    assert [path for path in ours if not path.name.startswith("ledger.db")] == []


def test_only_another_version_or_no_route_misroutes_a_request(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model, router = registered("run-1"), Router(platform)
    assert wait_until(lambda: router.misroutes("flights", model.version), seconds=20), "nothing is routed yet"
    deploy(platform, ledger, storage, model)
    assert not router.misroutes("flights", model.version)
    assert router.misroutes("flights", "another")
    supervisor.stop(f"model-flights-{model.version}")
    assert router.version_at("flights") is None
    assert not router.misroutes("flights", "another"), "a server that is away shows neither"


def test_the_router_answers_in_json_whatever_is_asked(
    platform: Home, ledger: Ledger, storage: Storage, registered: Registered
) -> None:
    model = registered("run-1")
    deploy(platform, ledger, storage, model)
    base = f"http://127.0.0.1:{platform.router_port}"
    with httpx.Client(base_url=base) as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        unknown = client.get("/seldon/local/nope/api/v1.0/predictions")
        assert (unknown.status_code, unknown.json()["models"]) == (404, ["flights"])
        assert unknown.headers["content-type"] == "application/json"
        assert client.get("/v2/models/flights/ready").json() == {"name": "flights", "ready": True}
        assert client.get("/v2/models/flightsx").status_code == 404
        tensors = [{"name": "distance", "shape": [1], "datatype": "FP64", "data": ["x"]}]
        assert client.post("/v2/models/flights/infer", json={"inputs": tensors}).status_code == 400
        wrong = client.post("/seldon/local/flights/api/v1.0/predictions", json={"jsonData": {"a": 1}})
        assert wrong.status_code == 400
        assert "'distance' is missing" in wrong.json()["error"]
        assert client.get("/seldon/local/flights/api/v1.0/predictions").status_code == 405


def test_the_router_takes_its_port_from_the_home_again(platform: Home, supervisor: Supervisor) -> None:
    moved = replace(platform, router_port=free_port())
    supervisor.put(router_program(moved))
    supervisor.update()
    assert wait_until(lambda: call(moved.router_port, "GET", "/v2/health/live").status == 200, seconds=20)
