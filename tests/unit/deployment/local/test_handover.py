"""The sockets that a handover checks. Integration tests run handovers."""

from __future__ import annotations

import socket

import psutil
import pytest

from sailplane.deployment.local.handover import _connected, _connections


def test_a_connection_is_seen_though_the_machines_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS only root sees all sockets."""

    def denied(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert _connections(psutil.CONN_LISTEN).count(port) == 1
        assert not _connected({port})
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert _connected({port})
