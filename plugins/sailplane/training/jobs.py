"""Processes that outlive their starter. Each has one folder, whose files allow others to find it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import psutil

from sailplane.code import with_package
from sailplane.errors import JobError, SailplaneError
from sailplane.files import is_full, no_room, replace_file
from sailplane.storage import Access, access
from sailplane.training.distributed import read_error
from sailplane.training.specs import Spec

State = Literal["running", "succeeded", "failed"]
STOP_SECONDS: Final = 10.0
# One thread per process: on two cores, two trainings with two threads each are several times slower.
THREADS: Final = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# Clocks may be corrected while a process runs; a process id is not reused that soon.
SAME_SECONDS: Final = 2.0

# Our own children, which must be reaped so that they do not stay as zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Job:
    """A process and its folder: `job.json` is the specification, `process.json` the process id, `access.json` the store
    credentials, `log.txt` the log, and `result.json` or `error.json` the outcome."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log.txt"
        self._access = folder / "access.json"

    def start(
        self,
        spec: Spec,
        accesses: Mapping[str, Access] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Starts the process unless it is running; returns its `pid` and the time at which it was `created`. If an
        earlier process with the same specification was killed, it continues from there.

        :param accesses: the store credentials of the process, by the store's root URI
        :param settings: further environment variables; they are not written to a file
        """
        if self.state() == "running":
            return self._handle()
        specification = json.dumps(spec.to_dict())
        if not self._has(specification):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("result.json", "error.json", "process.json"):
            (self.folder / name).unlink(missing_ok=True)
        if is_full(self.folder):
            # W&B's client waits forever for a service that has no disk space to start.
            raise no_room("start the process of", self.folder.name, disk=self.folder)
        replace_file(self.folder / "job.json", specification)
        self.grant(accesses or {})
        reached = {access.SETTING: str(self._access)} if accesses else {}
        child = self._spawn({**(settings or {}), **reached})
        handle = {"pid": child.pid, "created": psutil.Process(child.pid).create_time()}
        replace_file(self.folder / "process.json", json.dumps(handle))
        return handle

    def grant(self, accesses: Mapping[str, Access]) -> None:
        """Replaces the process's store credentials."""
        if accesses:
            access.write(self._access, accesses)

    def state(self) -> State:
        """Whether the process is running, or how it ended."""
        # Looked up first: a process that ends in between has left its result.
        process = self._process()
        if (self.folder / "result.json").exists():
            return self._ended("succeeded")
        if process is None or (self.folder / "error.json").exists():
            return self._ended("failed")
        return "running"

    def read_log(self, offset: int = 0) -> tuple[str, int]:
        """The log from `offset` (bytes), in whole lines while the process runs, and the next offset."""
        ended = self.state() != "running"
        if not self.log.exists():
            return "", offset
        with self.log.open("rb") as file:
            file.seek(offset)
            data = file.read()
        if not ended:
            data = data[: data.rfind(b"\n") + 1]
        return data.decode(errors="replace"), offset + len(data)

    def result(self) -> dict[str, Any]:
        """The process's result. Raises the error that it failed with."""
        state = self.state()
        if state == "failed":
            raise self.error()
        if state == "running":
            raise JobError("read result of", self.folder, got="it is still running")
        result: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return result

    def error(self) -> SailplaneError:
        """The process's error, in its original class; JobError if it left none."""
        try:
            return read_error(self.folder / "error.json")
        except FileNotFoundError:
            if is_full(self.folder):
                got = f"it ended without a result ({self._cause()}), and the disk is too full"
                return no_room("run the process of", self.folder.name, disk=self.folder, got=got)
            return JobError(
                "run the process of",
                self.folder.name,
                got=f"it ended without a result ({self._cause()})",
                remedy=f"See {self.log}; a retry resumes from what it kept.",
            )

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """Sends SIGTERM to the process and its children, and SIGKILL to those left after `grace` seconds."""
        process = self._process()
        if process is None:
            return
        _signal(process.pid, signal.SIGTERM)
        try:
            process.wait(grace)
        except psutil.TimeoutExpired:
            _signal(process.pid, signal.SIGKILL)
            process.wait(grace)
        self._ended("failed")

    def _has(self, specification: str) -> bool:
        file = self.folder / "job.json"
        return file.exists() and file.read_text() == specification

    def _spawn(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        variables = {**THREADS, **with_package(), "PYTHONUNBUFFERED": "1", **env}
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            # Inherited pipes would delay the task's end, and a shared session would pass its signals on.
            child = subprocess.Popen(
                [sys.executable, "-m", "sailplane.training.process", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=variables,
            )
        finally:
            os.close(log)
        _children[child.pid] = child
        return child

    def _handle(self) -> dict[str, Any]:
        handle: dict[str, Any] = json.loads((self.folder / "process.json").read_text())
        return handle

    def _process(self) -> psutil.Process | None:
        """The process if it runs. A zombie does not count, nor does a later process with the same id."""
        try:
            handle = self._handle()
            process = psutil.Process(handle["pid"])
            if abs(process.create_time() - handle["created"]) > SAME_SECONDS:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
        return process

    def _ended(self, state: State) -> State:
        """Returns `state` after it has reaped the process, if that is our child: it ends right after it writes its
        result."""
        self._access.unlink(missing_ok=True)
        if (self.folder / "process.json").exists():
            child = _children.get(self._handle()["pid"])
            if child is not None:
                child.wait(STOP_SECONDS)
        return state

    def _cause(self) -> str:
        if not (self.folder / "process.json").exists():
            return "it was not started"
        child = _children.get(self._handle()["pid"])
        if child is None or child.poll() is None:
            return "killed, or the machine was restarted"
        if child.returncode >= 0:
            return f"exit code {child.returncode}"
        name = signal.Signals(-child.returncode).name
        return f"killed by {name}" + (", often for memory" if name == "SIGKILL" else "")


def running(root: Path) -> Iterator[Job]:
    """The jobs under `root` with a live process."""
    for folder, below, files in os.walk(root):
        below.sort()
        if "process.json" in files:
            # Not searched, because files in a job's folder appear and disappear.
            below.clear()
            job = Job(Path(folder))
            if job.state() == "running":
                yield job


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
