from __future__ import annotations

import socket
from collections.abc import Callable

from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.target import LocalTarget
from sailplane.home import Home
from sailplane.records import Model
from sailplane.storage import Storage


def test_a_server_whose_port_is_taken_while_it_starts_gets_another_one(
    platform: Home, storage: Storage, registered: Callable[..., Model]
) -> None:
    model, target = registered("run-1"), LocalTarget(platform, storage, "flights")
    target.prepare(model)
    target.begin(model)
    chosen = target.port(model.version)
    # The server is still importing its modules.
    with socket.create_server(("127.0.0.1", chosen)):
        assert wait_until(lambda: target.progress(model.version).state != "starting", seconds=30)
        assert target.progress(model.version).state == "ready"
        assert target.port(model.version) != chosen
