"""Runs work in a child process and restarts it when something kills it. Only the current trial is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType


def guarded(work: Callable[[], int], started: Path) -> int:
    """Runs `work` in a forked process and returns its exit code. It is restarted after each kill: by the kernel for
    memory, by a fault in native code, or by itself because it hung. A process that dies before it creates the file
    `started` is not restarted, because the next process would die too. Call this before there are threads."""
    children: list[int] = []
    exit_codes: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        exit_codes.append(128 + number)
        for child in children:
            os.kill(child, number)

    signal.signal(signal.SIGTERM, stop)
    while not exit_codes:
        started.unlink(missing_ok=True)
        code = _attempt(work, children)
        if code >= 0:
            return code
        name = signal.Signals(-code).name
        print(f"The worker's process was killed by {name}{', often for memory' * (name == 'SIGKILL')}.", flush=True)  # noqa: T201
        if not started.exists():
            return 128 - code
    return exit_codes[0]


def _attempt(work: Callable[[], int], children: list[int]) -> int:
    """The exit code of one process; negative if a signal killed it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        _become(work, read)
    os.close(read)
    children.append(child)
    _, status = os.waitpid(child, 0)
    children.remove(child)
    os.close(write)
    return os.waitstatus_to_exitcode(status)


def _become(work: Callable[[], int], lifeline: int) -> None:
    code = 1
    try:
        threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True, name="lifeline").start()
        code = work()
    finally:
        os._exit(code)


def _die_with_parent(lifeline: int) -> None:
    """Kills this process when its parent ends in any way, because the kernel then closes the other end of `lifeline`.
    After that another worker may hold the trial and this folder."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGKILL)
