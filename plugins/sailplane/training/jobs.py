"""Processes that outlive whoever started them: one folder each, found again by what lies in it."""

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
from sailplane.training.distributed import left_in
from sailplane.training.specs import Spec

State = Literal["running", "succeeded", "failed"]
STOP_SECONDS: Final = 10.0
# One thread a process: two trainings on two cores with two threads each are several times slower.
THREADS: Final = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# Clocks are corrected while a process runs; a process id is not used again that soon.
SAME_SECONDS: Final = 2.0

# Our own children, so that one that ended is not left as a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Job:
    """`job.json` what to do, `process.json` who does it, `access.json` with what the store is reached, `log.txt`, and
    at the end `result.json` or `error.json`."""

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
        """Start the process, unless it runs; returns its `pid` and when it was `created`. One that was killed at the
        same specification before left what it had done: it goes on from there.

        :param accesses: with what the process reaches a store, by the store's root URI
        :param settings: further variables of its environment; no file holds them
        """
        if self.state() == "running":
            return self._handle()
        told = json.dumps(spec.to_dict())
        if not self._was_told(told):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("result.json", "error.json", "process.json"):
            (self.folder / name).unlink(missing_ok=True)
        if is_full(self.folder):
            # W&B's client waits forever for a service that finds no room to start.
            raise no_room("start the process of", self.folder.name, disk=self.folder)
        replace_file(self.folder / "job.json", told)
        self.grant(accesses or {})
        reached = {access.SETTING: str(self._access)} if accesses else {}
        child = self._spawn({**(settings or {}), **reached})
        handle = {"pid": child.pid, "created": psutil.Process(child.pid).create_time()}
        replace_file(self.folder / "process.json", json.dumps(handle))
        return handle

    def grant(self, accesses: Mapping[str, Access]) -> None:
        """What the process reaches its stores with from now on."""
        if accesses:
            access.write(self._access, accesses)

    def state(self) -> State:
        # Looked at first: a process that ends in between has left its result.
        process = self._process()
        if (self.folder / "result.json").exists():
            return self._ended("succeeded")
        if process is None or (self.folder / "error.json").exists():
            return self._ended("failed")
        return "running"

    def read_log(self, offset: int = 0) -> tuple[str, int]:
        """What the log has from `offset` (bytes) on, in whole lines while the process runs, and the next offset."""
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
        """What the process gave. Raises what it failed with."""
        state = self.state()
        if state == "failed":
            raise self.error()
        if state == "running":
            raise JobError("read result of", self.folder, got="it is still running")
        result: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return result

    def error(self) -> SailplaneError:
        """Of the class that the process raised; JobError if it left none."""
        try:
            return left_in(self.folder / "error.json")
        except FileNotFoundError:
            if is_full(self.folder):
                got = f"it ended without a result ({self._cause()}), and the disk is too full"
                return no_room("run the process of", self.folder.name, disk=self.folder, got=got)
            return JobError(
                "run the process of",
                self.folder.name,
                got=f"it ended without a result ({self._cause()})",
                remedy=f"See {self.log}; a retry goes on from what it kept.",
            )

    def stop(self, grace: float = STOP_SECONDS) -> None:
        """SIGTERM to the process and its children; SIGKILL to those that are left after `grace` seconds."""
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

    def _was_told(self, specification: str) -> bool:
        file = self.folder / "job.json"
        return file.exists() and file.read_text() == specification

    def _spawn(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        variables = {**THREADS, **with_package(), "PYTHONUNBUFFERED": "1", **env}
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            # Inherited pipes would hold up the task's end, and a shared session would carry its signals here.
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
        """Our process if it runs: a zombie does not, and one that was given the same id since is not ours."""
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
        """`state`, after the process was reaped if it is our child: it ends right after it wrote what it leaves."""
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
    """The jobs under `root` whose process lives."""
    for folder, below, files in os.walk(root):
        below.sort()
        if "process.json" in files:
            # What a job has in its folder comes and goes.
            below.clear()
            job = Job(Path(folder))
            if job.state() == "running":
                yield job


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
