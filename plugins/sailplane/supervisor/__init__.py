"""supervisord and its client. supervisord runs every embedded service, outlives the process that started it, and
listens only on a private unix socket. Programs are files under `supervisor/conf.d/`, so a boot restarts the programs
that ran before."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from sailplane.errors import ServiceError
from sailplane.files import locked, private_folder, replace_file
from sailplane.home import Home
from sailplane.supervisor.connection import UnixTransport, socket_folder
from sailplane.supervisor.open_files import raise_file_limit
from sailplane.supervisor.processes import Processes
from sailplane.supervisor.program import Program, ProgramState, escaped, program_file, state_of
from sailplane.supervisor.program_files import ProgramFiles

__all__ = ["Program", "ProgramState", "Supervisor", "socket_folder"]

# supervisord's fault code.
_ALREADY_STARTED = 60
# The variable in supervisord's own environment that names its release.
_RELEASE = "SUPERVISORD_RELEASE"
_STARTED = {"STARTING", "RUNNING", "BACKOFF", "STOPPING"}
_WATCHDOG = "watchdog"
# supervisord looks at its programs only once a second, or when it is called; so a wait calls it this often.
_CALL_EVERY_SECONDS = 0.02
# Processes that outlived supervisord get as much time to end as the slowest program.
_STOP_SECONDS = 15


class Supervisor(ProgramFiles):
    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.home = home
        self.sockets = socket_folder(home)
        self.socket = self.sockets / "supervisor.sock"
        self._processes = Processes(self.socket)

    @property
    def pid(self) -> int | None:
        """supervisord's process id from its pid file, which remains after it died."""
        try:
            return int((self.home.supervisor / "supervisord.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def running(self) -> bool:
        try:
            with self._rpc() as rpc:
                return bool(rpc.getState()["statecode"] == 1)
        except ServiceError:
            return False

    def other_release(self) -> str | None:
        """The release of the running supervisord, if a boot would now start a different one."""
        try:
            running = psutil.Process(self.pid).environ().get(_RELEASE, "an earlier release") if self.pid else None
        except psutil.Error:
            return None
        return running if running != _release() else None

    def boot(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts supervisord, detached, and every program with autostart. A second boot does nothing.

        Each program gets `environment` in addition to its own; the default is this process's environment."""
        folders = (self.home.root, self.home.supervisor, self.folder, self.home.logs, self.sockets)
        for folder in folders:
            private_folder(folder)
        with locked(self.home.supervisor / "lock"):
            if not self.running():
                # Any other process that outlived supervisord holds ports that this boot needs.
                self._processes.end(self.pid, spared=self.outliving())
                self._spawn(environment)

    def living(self) -> set[str]:
        """The programs with a running process, even if supervisord died."""
        if self.running():
            return {name for name, state in self.states().items() if state.pid}
        return self._processes.outlived(self.pid, self.outliving())

    def update(self) -> None:
        """Applies the programs' files: stops removed programs, restarts changed ones and starts new ones."""
        with locked(self.home.supervisor / "lock"), self._rpc() as rpc:
            added, changed, removed = rpc.reloadConfig()[0]
            for name in (*removed, *changed):
                _stop(rpc, name)
                self._processes.end_outlived(name, _STOP_SECONDS)
                rpc.removeProcessGroup(name)
            for name in (*added, *changed):
                rpc.addProcessGroup(name)

    def start(self, name: str) -> None:
        """Returns after the program has run for its start_seconds."""
        if self._state(name).state not in {"RUNNING", "STARTING"}:
            # supervisord may have restarted it in the meantime, after a crash.
            with self._rpc() as rpc, _unless(_ALREADY_STARTED):
                rpc.startProcess(name)

    def stop(self, name: str) -> None:
        """Returns after the program has ended."""
        if self._state(name).state in _STARTED:
            with self._rpc() as rpc:
                _stop(rpc, name)
            self._processes.end_outlived(name, _STOP_SECONDS)

    def states(self) -> dict[str, ProgramState]:
        with self._rpc() as rpc:
            return {info["name"]: state_of(info) for info in rpc.getAllProcessInfo() if info["name"] != _WATCHDOG}

    def shutdown(self, seconds: float = 90) -> None:
        """Stops every program and supervisord; returns when all have ended. Kills those still running after
        `seconds`."""
        session = self.pid
        if self.running():
            with self._rpc() as rpc:
                rpc.shutdown()
        deadline = time.monotonic() + seconds
        while self._processes.alive(session) and time.monotonic() < deadline:
            # It stops one program after another.
            self.running()
            time.sleep(_CALL_EVERY_SECONDS)
        self._processes.end(session, spared={})
        self._forget_sockets()

    def _forget_sockets(self) -> None:
        """Removes a folder of sockets outside the home, unless another boot has begun in the meantime."""
        if self.sockets != self.home.supervisor and self.sockets.exists():
            with locked(self.home.supervisor / "lock"):
                if not self.running():
                    shutil.rmtree(self.sockets)

    def _spawn(self, environment: Mapping[str, str] | None) -> None:
        raise_file_limit()
        link = self.sockets / "conf.d"
        if self.sockets != self.home.supervisor and not link.is_symlink():
            link.symlink_to(self.folder)
        replace_file(self.sockets / "supervisord.conf", self._configuration())
        command = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(self.sockets / "supervisord.conf")]
        # It forks and returns once it listens. If it fails, its output is the reason.
        ended = subprocess.run(
            command,
            cwd=self.home.root,
            env={**(os.environ if environment is None else environment), _RELEASE: _release()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            umask=0o077,
            timeout=60,
        )
        deadline = time.monotonic() + 20
        while not self.running():
            if ended.returncode or time.monotonic() > deadline:
                output = (ended.stderr + ended.stdout).strip() or self.log("supervisord")
                raise ServiceError("start", "supervisord", got=output, remedy=f"See {self.home.logs}/supervisord.log.")
            time.sleep(0.02)

    def _configuration(self) -> str:
        me = ["user=root"] if os.geteuid() == 0 else []  # without it supervisord warns that it runs as root
        return "\n".join(
            [
                "[unix_http_server]",
                f"file={escaped(self.socket)}",
                "chmod=0600",
                "[supervisord]",
                f"logfile={escaped(self.home.logs / 'supervisord.log')}",
                "logfile_maxbytes=5MB",
                "logfile_backups=2",
                f"pidfile={escaped(self.home.supervisor / 'supervisord.pid')}",
                f"directory={escaped(self.home.root)}",
                "identifier=sailplane",
                "umask=077",
                "nocleanup=true",
                *me,
                "[rpcinterface:supervisor]",
                "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
                "[include]",
                "files=conf.d/*.conf",
                self._watchdog(),
            ]
        )

    def _watchdog(self) -> str:
        log, module = self.home.logs / f"{_WATCHDOG}.log", Path(__file__).with_name("watchdog.py")
        boot = (sys.executable, "-P", "-m", __name__)
        command = (sys.executable, "-I", "-S", str(module), str(log), *boot)
        known = {"SAILPLANE_HOME": str(self.home.root), "SAILPLANE_PROJECT": str(self.home.project)}
        return program_file(Program(_WATCHDOG, command, known, stop_seconds=1), log)

    def _state(self, name: str) -> ProgramState:
        states = self.states()
        if name not in states:
            raise ServiceError("find program", name, got="no such program", expected=f"one of {', '.join(states)}")
        return states[name]

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=UnixTransport(self.socket))
        with proxy:
            try:
                yield proxy.supervisor
            except xmlrpc.client.Fault as fault:
                raise ServiceError("call", "supervisord", got=fault.faultString) from fault
            except (OSError, HTTPException, xmlrpc.client.Error) as error:
                raise ServiceError(
                    "reach", "supervisord", got=str(error), remedy="It is not running: run `make up`."
                ) from error


def _stop(rpc: Any, name: str) -> None:
    """Returns after the program has ended."""
    rpc.stopProcessGroup(name, False)
    while rpc.getProcessInfo(name)["statename"] in _STARTED:
        time.sleep(_CALL_EVERY_SECONDS)


@contextmanager
def _unless(code: int) -> Iterator[None]:
    """Suppresses the supervisord fault with this code."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != code:
            raise


def _release() -> str:
    return f"supervisor {version('supervisor')}, Python {platform.python_version()}"
