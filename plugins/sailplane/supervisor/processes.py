"""The processes that a supervisord started, even after it died."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from sailplane.files import replace_file
from sailplane.supervisor.program import DIGEST, written_command, written_digest


class Processes:
    """The processes of the supervisord with that socket. Excludes processes with a session of their own (training
    jobs)."""

    def __init__(self, socket: Path) -> None:
        self._url = f"unix://{socket}"
        # Processes whose supervisord died: pids by program, also for adopt.py.
        self._outlived = socket.with_name("outlived.json")

    def members(self, session: int | None) -> list[psutil.Process]:
        """supervisord, the leader of that session, the processes in it, and adopted processes."""
        before = self._read().values()
        return [process for process in psutil.process_iter() if self._belongs(process, session, before)]

    def alive(self, session: int | None) -> bool:
        """True if the supervisord of that session still runs."""
        try:
            return session is not None and self._belongs(psutil.Process(session), session, ())
        except psutil.NoSuchProcess:
            return False

    def end(self, session: int | None, spared: Mapping[str, str]) -> None:
        """Kills all of them except the programs in `spared`: the texts of their files, by name."""
        members = self.members(session)
        outlived = _outlived(members, spared)
        if outlived != self._read():
            replace_file(self._outlived, json.dumps(outlived))
        others = [process for process in members if process.pid not in outlived.values()]
        # supervisord last: its watchdog would restart it.
        for process in sorted(others, key=lambda process: process.pid == session):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_until_ended(others, seconds=10)

    def end_outlived(self, name: str, seconds: float) -> None:
        """Ends the program's process that outlived its supervisord, if it still runs: SIGTERM, then SIGKILL after
        `seconds`. Needed while supervisord waits to restart adopt.py, which would otherwise forward SIGTERM."""
        pid = self._read().get(name)
        members = [process for process in psutil.process_iter() if process.pid == pid]
        for process in members:
            if self._belongs(process, None, [process.pid]) and _name(process) == name:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
                    _wait_until_ended([process], seconds)
                    process.kill()

    def outlived(self, session: int | None, files: Mapping[str, str]) -> set[str]:
        """The programs that still run after their supervisord died."""
        return set(_outlived(self.members(session), files))

    def _belongs(self, process: psutil.Process, session: int | None, outlived: Collection[int]) -> bool:
        """After a reboot another session may have this number, so the environment or the command must match too."""
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.pid == session:
                return "supervisor.supervisord" in process.cmdline()
            if os.getsid(process.pid) != session and process.pid not in outlived:
                return False
            return process.environ().get("SUPERVISOR_SERVER_URL") == self._url
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def _read(self) -> dict[str, int]:
        return dict(json.loads(self._outlived.read_text())) if self._outlived.exists() else {}


def _wait_until_ended(processes: list[psutil.Process], seconds: float) -> None:
    """Zombies count as ended: they hold nothing, though their parents may take a while to reap them."""
    deadline = time.monotonic() + seconds
    while not all(map(_ended, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _outlived(members: list[psutil.Process], files: Mapping[str, str]) -> dict[str, int]:
    return {name: process.pid for process in members if (name := _program(process, files)) is not None}


def _name(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("SUPERVISOR_PROCESS_NAME")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _program(process: psutil.Process, files: Mapping[str, str]) -> str | None:
    try:
        environment = process.environ()
        name = environment.get("SUPERVISOR_PROCESS_NAME", "")
        # Only Linux lets a process wait for one that it did not start.
        if sys.platform != "linux" or name not in files:
            return None
        started = tuple(process.cmdline()), environment.get(DIGEST)
        return name if started == (written_command(files[name]), written_digest(files[name])) else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
