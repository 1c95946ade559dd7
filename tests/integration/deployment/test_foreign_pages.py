"""Requests that a browser sends for a page of another origin, to the real router and a real model server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace

import grpc
import httpx

from sailplane.deployment.envoy.router import Router, router_program
from sailplane.deployment.http_client import call, wait_until
from sailplane.deployment.local.endpoint import renew
from sailplane.deployment.token import take_token
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.serving.open_inference import messages_pb2 as messages
from sailplane.storage import Storage
from sailplane.supervisor import Supervisor
from tests.integration.deployment.routed import deploy
from tests.integration.serving.test_grpc import call as rpc
from tests.integration.serving.test_grpc import refused

EVIL = "https://evil.example"
FOREIGN: Mapping[str, Mapping[str, str]] = {
    "another site": {"Origin": EVIL},
    "another port of this machine": {"Origin": "http://localhost:3000"},
    "a sandboxed page": {"Origin": "null"},
    "a picture on another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "a page on another port": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    "a rebound name": {"Host": "evil.example", "Origin": "http://evil.example"},
    "a name like ours": {"Host": "localhost.evil.example"},
    "no host": {"Host": ""},
}
OWN: Mapping[str, Mapping[str, str]] = {
    "a program": {},
    "an address": {"Host": "127.0.0.1"},
    "a page of its own": {"Host": "localhost:9000", "Origin": "http://localhost:9000", "Sec-Fetch-Site": "same-origin"},
    "the address bar": {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
}


def feed_back(home: Home, headers: Mapping[str, str], port: int | None = None) -> httpx.Response:
    path = "/seldon/local/flights/api/v1.0/feedback" if port is None else "/api/v1.0/feedback"
    url = f"http://127.0.0.1:{port or home.router_port}{path}"
    return httpx.post(
        url, json={"response": {"meta": {"puid": "a"}}, "reward": -1000.0}, headers=headers, trust_env=False
    )


def rewards(home: Home, model: Model) -> str:
    [port] = [port for of, port in Router(home).ports().items() if of == (model.name, model.version)]
    text = call(port, "GET", "/metrics").body.decode()
    return "\n".join(line for line in text.splitlines() if "reward" in line and not line.startswith("#"))


def test_no_page_of_another_origin_is_answered_by_the_router_or_a_model_server(
    platform: Home, ledger: Ledger, storage: Storage, registered: Callable[..., Model]
) -> None:
    deploy(platform, ledger, storage, model := registered("run-1"))
    (server,) = Router(platform).ports().values()
    before = rewards(platform, model)
    for name, headers in FOREIGN.items():
        for port in (None, server):
            answer = feed_back(platform, headers, port)
            assert answer.status_code in (400, 403), (name, port)
            assert answer.headers["content-type"] == "application/json", (name, port)
            url = f"http://127.0.0.1:{port or platform.router_port}/v2/models/flights"
            assert httpx.get(url, headers=headers, trust_env=False).status_code in (400, 403), (name, port)
    assert rewards(platform, model) == before
    for name, headers in OWN.items():
        assert feed_back(platform, headers).status_code == 200, name
        assert feed_back(platform, headers, server).status_code == 200, name
    assert rewards(platform, model) != before


def test_a_call_over_grpc_and_http2_names_its_host_as_well(
    platform: Home, ledger: Ledger, storage: Storage, registered: Callable[..., Model]
) -> None:
    deploy(platform, ledger, storage, registered("run-1"))
    target = f"127.0.0.1:{platform.router_port}"
    with grpc.insecure_channel(target) as own:
        assert rpc(own, "ServerLive", messages.ServerLiveRequest()).live
    with grpc.insecure_channel(target, options=[("grpc.default_authority", "evil.example")]) as foreign:
        code, details = refused(foreign, "ServerLive", messages.ServerLiveRequest())
    assert (code, "'evil.example'" in details) == (grpc.StatusCode.PERMISSION_DENIED, True)


def test_a_page_gets_no_websocket(platform: Home) -> None:
    head = (
        f"GET /v2 HTTP/1.1\r\nHost: localhost:{platform.router_port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Origin: {EVIL}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert wait_until(Router(platform).running, seconds=20)
    with socket.create_connection(("127.0.0.1", platform.router_port), 5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 403")


def test_a_setting_adds_names_and_a_token_makes_the_names_needless(
    platform: Home, supervisor: Supervisor, ledger: Ledger, storage: Storage, registered: Callable[..., Model]
) -> None:
    named = replace(platform, allowed_hosts=("ml.example", "*.lan"))
    _restarted(named, supervisor)
    deploy(named, ledger, storage, registered("run-1"))
    for host in ("ml.example", "ml.example:9000", "ML.example", "box.lan"):
        assert feed_back(named, {"Host": host}).status_code == 200, host
    assert feed_back(named, {"Host": "ml.example", "Origin": "https://ml.example"}).status_code == 200
    # A proxy that calls the router by its own name.
    assert feed_back(named, {"Host": "localhost", "Origin": "https://ml.example"}).status_code == 200
    for host, origin in (("lan", ""), ("other.example", ""), ("ml.example", "https://ml.example:444")):
        assert feed_back(named, {"Host": host, **({"Origin": origin} if origin else {})}).status_code == 403, host

    _restarted(anyone := replace(platform, allowed_hosts=("*",)), supervisor)
    assert wait_until(lambda: feed_back(anyone, {"Host": "any.example:9000"}).status_code == 200, seconds=5)
    for host in ("", "a/b", "any.example:x"):
        assert feed_back(anyone, {"Host": host}).status_code in (400, 403), host

    file = platform.root.parent / "secret"
    file.write_text("a-token\n")
    take_token(with_token := replace(platform, token=file))
    renew(with_token)
    _restarted(with_token, supervisor)
    foreign, token = {"Host": "any.example"}, {"Authorization": "Bearer a-token"}
    assert wait_until(lambda: feed_back(with_token, foreign | token).status_code == 200, seconds=30)
    assert feed_back(with_token, foreign).status_code == 401


def _restarted(home: Home, supervisor: Supervisor) -> None:
    supervisor.put(router_program(home))
    supervisor.update()
    assert wait_until(Router(home).running, seconds=20)
