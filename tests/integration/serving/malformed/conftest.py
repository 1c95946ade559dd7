from __future__ import annotations

from collections.abc import Iterator

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.monitoring import export
from sailplane.storage import Storage
from tests.integration.deployment.routed import router_of
from tests.integration.serving.malformed.verdict import Target
from tests.integration.serving.model_server import Server, running
from tests.unit.bundles import tiny


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The process that gets all requests of a module. At the end it still runs, has logged no traceback, and its log of
    requests can be read."""
    folder = tmp_path_factory.mktemp("malformed")
    tiny.bundle(folder / "bundle")
    with running(folder / "bundle", folder / "log", "--request-log", str(folder / "requests")) as started:
        yield started
        assert started.process.poll() is None
        assert "Traceback" not in started.log.read_text()
    assert export(folder / "requests", Storage((folder / "store").as_uri())).rows
    assert not list(folder.rglob("*.unreadable"))


@pytest.fixture(scope="module")
def target(server: Server) -> Target:
    [[score]] = server.post("/predict", {"jsonData": tiny.RECORD}).json()["data"]["ndarray"]
    return Target(server.port, score)


@pytest.fixture(scope="module")
def router(server: Server, target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The router in front of the server, over HTTP and gRPC."""
    version = Bundle.open(server.log.with_name("bundle")).version
    with router_of(tmp_path_factory.mktemp("router"), server, version) as (port, _):
        yield Target(port, target.score, "/seldon/local/flights")
