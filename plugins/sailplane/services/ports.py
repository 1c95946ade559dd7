"""Checks that the services' ports are free, and finds who holds a taken port."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import psutil

from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.services import object_store
from sailplane.services.orphans import marked


def require_ports(home: Home) -> None:
    """ServiceError if another process holds a port that the services need."""
    for port, setting in _wanted(home):
        if _taken(port) and not _ours(home, port):
            raise ServiceError(
                "listen on port",
                port,
                got=f"it is taken by {_holder(port)}",
                remedy=f"Stop that process, or choose another port, for example `{setting}={_free()} make up`.",
            )


def _wanted(home: Home) -> Iterator[tuple[int, str]]:
    yield home.ui_port, "SAILPLANE_UI_PORT"
    yield home.router_port, "SAILPLANE_ROUTER_PORT"
    if home.has_s3:
        yield from ((port, "SAILPLANE_S3_PORT") for port in object_store.ports(home))
    if "algorithmia" in home.twins:
        yield home.algorithmia_port, "SAILPLANE_ALGORITHMIA_PORT"


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        # As the services do: connections of ended processes in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return True
    return False


def _ours(home: Home, port: int) -> bool:
    return any(port in _listening(process) for process in marked(home))


def _listening(process: psutil.Process) -> set[int]:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}


def _described(process: psutil.Process) -> str:
    if process.pid == os.getpid():
        return "this process"
    try:
        return " ".join(process.cmdline())[:60]
    except psutil.NoSuchProcess:
        # The process held the port a moment ago.
        return "a process that has just ended"


def _holder(port: int) -> str:
    for process in psutil.process_iter():
        if port in _listening(process):
            return f"{_described(process)} (process {process.pid})"
    return "another user's process"


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
