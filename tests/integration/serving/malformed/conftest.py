from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from sailplane.home import Home
from sailplane.monitoring import ship
from sailplane.registry.bundle import Bundle
from sailplane.serving.router import Router, router_program
from sailplane.serving.target import Split
from sailplane.storage import Storage
from tests.integration.serving.malformed.verdict import Target
from tests.integration.serving.model_server import Server, running
from tests.platform import until
from tests.ports import free_port
from tests.unit.registry import tiny


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one process that all of a module's requests go to. At the end it is still there, logged no traceback, and
    what it kept of the requests can be read."""
    folder = tmp_path_factory.mktemp("malformed")
    tiny.bundle(folder / "bundle")
    with running(folder / "bundle", folder / "log", "--request-log", str(folder / "requests")) as started:
        yield started
        assert started.process.poll() is None
        assert "Traceback" not in started.log.read_text()
    assert ship(folder / "requests", Storage((folder / "store").as_uri())).rows
    assert not list(folder.rglob("*.unreadable"))


@pytest.fixture(scope="module")
def target(server: Server) -> Target:
    [[score]] = server.post("/predict", {"jsonData": tiny.RECORD}).json()["data"]["ndarray"]
    return Target(server.port, score)


@pytest.fixture(scope="module")
def router(server: Server, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """In front of the server, over HTTP and gRPC."""
    folder, port = tmp_path_factory.mktemp("router"), free_port()
    settings = {"SAILPLANE_PROJECT": str(folder), "SAILPLANE_HOME": str(folder), "SAILPLANE_ROUTER_PORT": str(port)}
    home, version = Home.find(settings), Bundle.open(server.log.with_name("bundle")).version
    program, router = router_program(home), Router(home)
    router.add("flights", version, server.port, server.grpc_port)
    router.split("flights", Split({version: 100}))
    process = subprocess.Popen(program.command, cwd=program.directory)
    try:
        until(lambda: router.version_at("flights"), 60, "the router")
        yield Target(port, target.score, "/seldon/local/flights")
    finally:
        process.terminate()
        process.wait(30)
