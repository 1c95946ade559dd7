"""Replaces the process of a served version, or the router, without a failed request. A second process stands in while
the first is restarted with its new command, and then the first takes over again. So the program keeps its name and its
ports.

Each step may be repeated: an interrupted handover leaves a service that answers, and the next call continues.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import psutil

from sailplane.deployment.envoy.router import NAME, Router, router_program
from sailplane.deployment.http_client import wait_until
from sailplane.deployment.local.model_process import STAND_IN, ModelProcess
from sailplane.errors import ModelError, ServiceError
from sailplane.files import locked, private_folder
from sailplane.home import Home
from sailplane.supervisor import Supervisor

_START_SECONDS: Final = 120.0
_ROUTED_SECONDS: Final = 15.0
# Longer than the router allows a request to take.
_DRAIN_SECONDS: Final = 35.0
ROUTER_STAND_IN: Final = f"{STAND_IN}-{NAME}"


def served_programs(supervisor: Supervisor) -> list[tuple[str, str]]:
    """(model, version) of each program of a model server."""
    names = [name.removeprefix("model-") for name in supervisor.programs() if name.startswith("model-")]
    return [(model, version) for model, _, version in (name.rpartition("-") for name in names)]


class ModelHandover:
    """The handover of one version."""

    def __init__(self, home: Home, supervisor: Supervisor, model: str, version: str) -> None:
        self._home, self._supervisor, self._router = home, supervisor, Router(home)
        self._model, self._version = model, version
        self.own = ModelProcess(home, supervisor, model, version)
        self.stand_in = ModelProcess(home, supervisor, model, version, STAND_IN)

    def changes(self) -> list[str]:
        """The names of what a restart would change: `command`, or variables."""
        return self.own.changes()

    def started(self) -> bool:
        """True if a handover has started and not ended."""
        return self.stand_in.program in self._supervisor.programs()

    def run(self) -> None:
        """Raises ServiceError if the new process does not answer; the old one then keeps serving."""
        private_folder(self._home.serving)
        with locked(self._home.serving / f"{self._model}.lock"):
            if self.own.program not in self._supervisor.programs():
                self.stand_in.retire()  # a deployment has removed the version meanwhile
                return
            routed = (self._model, self._version) in self._router.ports()
            if self.changes() and routed:
                self._take_over()
            self.own.renew()
            self._supervisor.update()
            self._supervisor.start(self.own.program)
            if routed:
                self._require_ready(self.own)
                self._route(self.own)
            if self.started():
                self._drain(self.stand_in)
                self.stand_in.retire()

    def _take_over(self) -> None:
        grpc = [port for port in (self.own.grpc_port,) if port]
        self.stand_in.begin(avoid={self.own.port, *grpc})
        try:
            self._require_ready(self.stand_in)
            self._route(self.stand_in)
        except ServiceError:
            self._router.add(self._model, self._version, self.own.port, self.own.grpc_port)
            self.stand_in.retire()
            raise
        self._drain(self.own)

    def _require_ready(self, process: ModelProcess) -> None:
        wait_until(lambda: process.progress().state != "starting", seconds=_START_SECONDS)
        progress = process.progress()
        if progress.state != "ready":
            raise self._failure(process, progress.reason)
        try:
            process.smoke_test()
        except ModelError as error:
            raise self._failure(process, str(error)) from error

    def _route(self, process: ModelProcess) -> None:
        self._router.add(self._model, self._version, process.port, process.grpc_port)
        ports = {process.port, process.grpc_port} - {None}
        if not wait_until(
            lambda: self._router.healthy_ports(self._model, self._version) == ports, seconds=_ROUTED_SECONDS
        ):
            raise self._failure(process, "the router does not find it healthy")

    def _drain(self, process: ModelProcess) -> None:
        """Waits until the router has closed its connections, which it does once no request uses them."""
        ports = {process.port, process.grpc_port}
        wait_until(lambda: not _connected(ports), seconds=_DRAIN_SECONDS)

    def _failure(self, process: ModelProcess, reason: str) -> ServiceError:
        got = f"{reason}; the end of its log:\n{process.log()}\n"
        remedy = "The old process still answers. `make up` tries again."
        return ServiceError("restart", f"{self._model} {self._version}", got=got, remedy=remedy)


class RouterHandover:
    """The handover of the router. Two Envoys listen on one port for a while, and the kernel splits the new connections
    between them."""

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self._home, self._supervisor = home, supervisor

    def started(self) -> bool:
        """True if a handover has started and not ended."""
        return ROUTER_STAND_IN in self._supervisor.programs()

    def run(self) -> None:
        """Raises ServiceError if the new router does not answer; the old one then keeps serving."""
        own, stand_in = router_program(self._home), router_program(self._home, ROUTER_STAND_IN)
        if self._supervisor.changes(own):
            self._supervisor.put(stand_in)
            self._supervisor.update()
            try:
                self._require_ready(ROUTER_STAND_IN)
            except ServiceError:
                self._retire_stand_in()
                raise
            self._drain(NAME)
        self._supervisor.put(own)
        self._supervisor.update()
        self._supervisor.start(NAME)
        self._require_ready(NAME)
        if self.started():
            self._drain(ROUTER_STAND_IN)
            self._retire_stand_in()

    def _require_ready(self, name: str) -> None:
        if not wait_until(lambda: Router(self._home, name).running(), seconds=_START_SECONDS / 4):
            got = f"it does not answer; the end of its log:\n{self._supervisor.log(name)}\n"
            raise ServiceError("restart", "the router", got=got, remedy=f"See {self._home.logs / name}.log.")

    def _drain(self, name: str) -> None:
        """Stops new connections, asks clients to close the open ones, and waits for the last request."""
        router, both = Router(self._home, name), self._listening()
        if router.running():
            router.stop_listening()
            wait_until(lambda: self._listening() <= both // 2 and router.requests() == 0, seconds=_DRAIN_SECONDS)

    def _listening(self) -> int:
        """The sockets that listen on the router's port: the same number for each of the two."""
        return len([port for port in _connections(psutil.CONN_LISTEN) if port == self._home.router_port])

    def _retire_stand_in(self) -> None:
        self._supervisor.remove(ROUTER_STAND_IN)
        self._supervisor.update()
        Router(self._home, ROUTER_STAND_IN).forget()


def _connected(ports: set[int | None]) -> bool:
    """True if a client has a connection to one of these ports."""
    return any(port in ports for port in _connections(psutil.CONN_ESTABLISHED))


def _connections(status: str) -> list[int]:
    """The port on this side of each TCP connection that has the status."""
    return [socket.laddr.port for socket in _sockets() if socket.status == status and socket.laddr]


def _sockets() -> Iterator[Any]:
    """The sockets of this machine. On macOS a user sees only those of their own processes, which is enough here."""
    try:
        yield from psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        for process in psutil.process_iter():
            with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
                yield from process.net_connections(kind="tcp")
