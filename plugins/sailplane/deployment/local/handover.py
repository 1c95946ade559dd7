"""Replaces the process of a served version, or the router, while requests go on: a second process takes over, the first
one is restarted as it would be started today, and takes over again. So its program keeps its name and its ports.

Each step may be repeated: whoever is killed in the middle leaves a service that answers, and the next call goes on.
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
# Longer than the router lets a request last.
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
        """Names what differs from the process as it was started: `command`, or variables."""
        return self.own.changes()

    def begun(self) -> bool:
        """True if an earlier handover did not end."""
        return self.stand_in.program in self._supervisor.programs()

    def run(self) -> None:
        """Raises ServiceError where the new process does not answer; the one from before then goes on."""
        private_folder(self._home.serving)
        with locked(self._home.serving / f"{self._model}.lock"):
            if self.own.program not in self._supervisor.programs():
                self.stand_in.retire()  # a deployment took the version away meanwhile
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
            if self.begun():
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
        found = process.progress()
        if found.state != "ready":
            raise self._failure(process, found.reason)
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
        """The router closes its connections as soon as no request is on them."""
        ports = {process.port, process.grpc_port}
        wait_until(lambda: not _connected(ports), seconds=_DRAIN_SECONDS)

    def _failure(self, process: ModelProcess, reason: str) -> ServiceError:
        said = f"{reason}; the end of its log:\n{process.log()}\n"
        remedy = "The process from before goes on answering. `make up` tries again."
        return ServiceError("restart", f"{self._model} {self._version}", got=said, remedy=remedy)


class RouterHandover:
    """Two Envoys listen on one port for a while: the kernel gives each of them a part of the new connections."""

    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self._home, self._supervisor = home, supervisor

    def begun(self) -> bool:
        return ROUTER_STAND_IN in self._supervisor.programs()

    def run(self) -> None:
        """Raises ServiceError where the new router does not answer; the one from before then goes on."""
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
        if self.begun():
            self._drain(ROUTER_STAND_IN)
            self._retire_stand_in()

    def _require_ready(self, name: str) -> None:
        if not wait_until(lambda: Router(self._home, name).running(), seconds=_START_SECONDS / 4):
            said = f"it does not answer; the end of its log:\n{self._supervisor.log(name)}\n"
            raise ServiceError("restart", "the router", got=said, remedy=f"See {self._home.logs / name}.log.")

    def _drain(self, name: str) -> None:
        """Takes no new connections, asks the clients of the others to close them, and waits for the last request."""
        router, both = Router(self._home, name), self._listening()
        if router.running():
            router.stop_listening()
            wait_until(lambda: self._listening() <= both // 2 and router.requests() == 0, seconds=_DRAIN_SECONDS)

    def _listening(self) -> int:
        """Sockets: as many of each of the two."""
        return len([one for one in _connections(psutil.CONN_LISTEN) if one == self._home.router_port])

    def _retire_stand_in(self) -> None:
        self._supervisor.remove(ROUTER_STAND_IN)
        self._supervisor.update()
        Router(self._home, ROUTER_STAND_IN).forget()


def _connected(ports: set[int | None]) -> bool:
    """True if a client has a connection to one of these ports."""
    return any(port in ports for port in _connections(psutil.CONN_ESTABLISHED))


def _connections(status: str) -> list[int]:
    """The port on this side of each TCP connection that has the status."""
    return [one.laddr.port for one in _sockets() if one.status == status and one.laddr]


def _sockets() -> Iterator[Any]:
    """The sockets of this machine. On macOS a user sees only those of their own processes, which is enough here."""
    try:
        yield from psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        for process in psutil.process_iter():
            with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
                yield from process.net_connections(kind="tcp")
