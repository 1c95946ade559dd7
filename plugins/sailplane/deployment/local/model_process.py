"""One model version under supervisord: its folder, its ports and its program."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import psutil

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.manifest import FILES, MANIFEST
from sailplane.deployment.http_client import call
from sailplane.deployment.target import VersionProgress
from sailplane.deployment.token import authorization, token_file
from sailplane.errors import DeploymentError, ModelError
from sailplane.files import private_folder, room_for
from sailplane.home import Home
from sailplane.registry.environment import STARTED_WITH, digest, installed
from sailplane.serving.request_id import SMOKE_TEST
from sailplane.supervisor import Program, Supervisor

# Below the ports that Linux and macOS give to outgoing connections, so that no client holds one at the next boot.
_PORTS = range(20000, 32768)
_GRPC_PORT: Final = "--grpc-port"
ENVIRONMENT: Final = {
    "PYTHONUNBUFFERED": "1",
    # A version is one process, and a prediction uses one core.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    # Otherwise onnxruntime reports its use to its vendor.
    "ORT_DISABLE_TELEMETRY": "1",
}


# Names the process that answers while the version's own process is replaced.
STAND_IN: Final = "next"


def on_violation_file(home: Home, model: str) -> Path:
    """Holds the deployment's `on_violation`, for all versions of the model."""
    return home.serving / "on-violation" / f"{model}.json"


class ModelProcess:
    """The process of one version. `role` is `model`, or `STAND_IN` for the process that stands in during a handover."""

    def __init__(self, home: Home, supervisor: Supervisor, model: str, version: str, role: str = "model") -> None:
        self.home, self.supervisor = home, supervisor
        self.model, self.version = model, version
        self.program = f"{role}-{model}-{version}"
        self.folder = home.serving / "models" / model / version
        self._pids: set[int] = set()

    @property
    def port(self) -> int:
        """The HTTP port in the program's command. Raises DeploymentError before `begin`."""
        return int(self._command()[-1])

    @property
    def grpc_port(self) -> int | None:
        """None for a program of an earlier release, whose server spoke no gRPC."""
        command = self._command()
        return int(command[command.index(_GRPC_PORT) + 1]) if _GRPC_PORT in command else None

    def install(self, bundle: Bundle) -> None:
        """Copies the bundle, all or nothing. A complete copy stays as it is."""
        if self.installed(bundle.digest):
            return
        private_folder(self.folder.parent)
        draft = self.folder.with_name(f".{self.version}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            with room_for(self.folder):
                private_folder(draft)
                for name in (*FILES, MANIFEST):
                    shutil.copyfile(bundle.folder / name, draft / name)
                    (draft / name).chmod(0o600)
            shutil.rmtree(self.folder, ignore_errors=True)
            draft.rename(self.folder)
        finally:
            # On a full disk, the rollback needs this space.
            shutil.rmtree(draft, ignore_errors=True)

    def begin(self, avoid: Collection[int] = ()) -> None:
        """Starts the program, on ports other than those to `avoid`. A running one keeps running."""
        if self.program in self.supervisor.programs():
            self.supervisor.update()
            self.supervisor.start(self.program)
        else:
            port, grpc_port = islice((port for port in _free_ports(self.folder) if port not in avoid), 2)
            self.supervisor.put(self._program(port, grpc_port))
            self.supervisor.update()

    def renew(self) -> None:
        """Rewrites the program with its present ports. If it has changed, the supervisor's next update restarts it."""
        self.supervisor.put(self._renewed())

    def changes(self) -> list[str]:
        """The names of what `renew` would change: `command`, or variables."""
        return self.supervisor.changes(self._renewed()) or []

    def _renewed(self) -> Program:
        port = self.port
        return self._program(port, self.grpc_port or next(free for free in _free_ports(self.folder) if free != port))

    def progress(self) -> VersionProgress:
        """`ready` when it answers; `failed` also without a program, for example after the ledger was restored."""
        if self.program not in self.supervisor.programs():
            return VersionProgress("failed", "its server is not on this machine any more")
        if self._ready():
            return VersionProgress("ready")
        state = self.supervisor.states().get(self.program)
        status = state.state if state else "no program"
        self._pids |= {state.pid} if state and state.pid else set()
        # supervisord restarts a process as soon as it ends, so a second pid means that the first one died.
        if len(self._pids) > 1 or status in {"BACKOFF", "FATAL", "no program"}:
            return VersionProgress("failed", f"the server does not start ({status})")
        return VersionProgress("starting", f"the server is {status}")

    def changed_ports(self) -> bool:
        """Starts the program on other ports if another program has taken one of its own; false otherwise."""
        state = self.supervisor.states().get(self.program)
        if state is None:
            return False
        listening = _listening(state.pid)
        if all(port in listening or _is_free(port) for port in (self.port, self.grpc_port) if port):
            return False
        self.supervisor.remove(self.program)
        self._pids.clear()
        self.begin()
        return True

    def installed(self, digest: str) -> bool:
        """True if the folder holds the bundle with that digest."""
        try:
            return Bundle.open(self.folder).digest == digest
        except ModelError:
            return False

    def smoke_test(self) -> None:
        """Scores the golden rows over HTTP. Raises ModelError if the scores are not the recorded ones."""
        bundle = Bundle.open(self.folder)
        path, message = "/api/v1.0/predictions", {"jsonData": bundle.golden_records, "meta": {"puid": SMOKE_TEST}}
        reply = call(self.port, "POST", path, message, headers=authorization(self.home), seconds=60)
        if reply.status != 200:
            got = f"{reply.status} {reply.body.decode(errors='replace')}"
            raise ModelError("score the golden rows of", self.program, got=got)
        bundle.compare(reply.json()["data"]["ndarray"])

    def log(self) -> str:
        return self.supervisor.log(self.program)

    def retire(self) -> None:
        """Stops the process, once it has answered its open requests. Its bundle stays."""
        self.supervisor.remove(self.program)
        self.supervisor.update()

    def remove(self) -> None:
        """Stops the process and its stand-in, once they have answered their open requests, and removes the files."""
        self.supervisor.remove(f"{STAND_IN}-{self.model}-{self.version}")
        self.retire()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        reply = call(self.port, "GET", "/v2/health/ready", seconds=2)
        return reply.status == 200 and reply.version == self.version

    def _command(self) -> tuple[str, ...]:
        command = self.supervisor.command(self.program)
        if command is None:
            raise DeploymentError("find the port of", self.program, got="it was not started")
        return command

    def _program(self, port: int, grpc_port: int) -> Program:
        server = (sys.executable, "-P", "-m", "sailplane.serving.server", "--bundle", str(self.folder))
        token = token_file(self.home)
        # Not in the version's own folder, because requests that are not exported yet must outlive it.
        spool = str(self.home.requests / self.model / self.version)
        log = ("--request-log", spool) if self.home.logs_requests else ()
        choice = ("--on-violation-file", str(on_violation_file(self.home, self.model)))
        return Program(
            self.program,
            (
                *(*server, *log, *choice, *(("--token-file", str(token)) if token else ())),
                *(_GRPC_PORT, str(grpc_port), "--port", str(port)),
            ),
            environment={
                **ENVIRONMENT,
                STARTED_WITH: digest(installed()),
                # A new token changes the program without being readable in it.
                **({"TOKEN_CHANGED": str(token.stat().st_mtime_ns)} if token else {}),
            },
            directory=self.home.serving,
            priority=200,
            stop_seconds=15,
            outlives=True,
        )


def _free_ports(folder: Path) -> Iterator[int]:
    """Free ports, beginning with one that depends on the home, the model and the version."""
    first = int(hashlib.sha256(os.fsencode(folder)).hexdigest(), 16)
    for step in range(len(_PORTS)):
        port = _PORTS[(first + step) % len(_PORTS)]
        if _is_free(port):
            yield port
    raise DeploymentError("find a free port", got=f"none in {_PORTS.start}..{_PORTS.stop - 1}")


def _listening(pid: int | None) -> set[int]:
    """The ports on which the process listens; empty if it has ended."""
    with suppress(psutil.NoSuchProcess):
        sockets = psutil.Process(pid).net_connections(kind="tcp") if pid else []
        return {found.laddr.port for found in sockets if found.status == psutil.CONN_LISTEN}
    return set()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
