"""Finds and kills orphaned processes. Killing a service does not kill its children: LocalExecutor's workers survive the
scheduler, and every service survives supervisord."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import psutil

from sailplane.files import private_folder, replace_file
from sailplane.home import Home

MARK = "SAILPLANE_SERVICE"
# A starting process does not show its environment yet, and may start another process before it is killed.
PASSES = 4
# It uploads the data of a training and ends with the training.
WRITER = "wandb-core"


def record(home: Home, service: str) -> None:
    """Records the session of this process and of its future children."""
    private_folder(_file(home, service).parent)
    replace_file(_file(home, service), json.dumps({"session": os.getsid(0)}))


def kill_orphans(home: Home, service: str) -> list[int]:
    """Kills the processes in the recorded session of `service`. Detached trainings have their own sessions and keep
    running; their tasks find them again."""
    if not _file(home, service).exists():
        return []
    session = json.loads(_file(home, service).read_text())["session"]
    return _kill([p for p in marked(home, service) if _session(p) == session])


def kill_all(home: Home) -> list[int]:
    """Ends every process that the services of this home started, directly or indirectly. A training gets SIGTERM and
    ten seconds to save its state."""
    ended: list[int] = []
    for _ in range(PASSES):
        processes = marked(home)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                if process.name() != WRITER:
                    process.terminate()
        _gone, alive = psutil.wait_procs(processes, timeout=10)
        _kill(alive)
        ended += [process.pid for process in processes]
        if not processes:
            break
    return ended


def marked(home: Home, service: str | None = None) -> list[psutil.Process]:
    """This user's processes that carry the mark of this home (and of `service`), except the caller and its
    ancestors."""
    own = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    return [p for p in psutil.process_iter() if p.pid not in own and _is_ours(p, home, service)]


def _is_ours(process: psutil.Process, home: Home, service: str | None) -> bool:
    # Checks both variables: a user's shell may set SAILPLANE_HOME alone and must not be killed.
    try:
        env = process.environ()
    except (psutil.Error, OSError):
        return False
    if env.get("SAILPLANE_HOME") != str(home.root) or MARK not in env:
        return False
    return service is None or env[MARK] == service


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _kill(processes: list[psutil.Process]) -> list[int]:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
    return [process.pid for process in processes]


def _file(home: Home, service: str) -> Path:
    return home.supervisor / f"{service}.life.json"
