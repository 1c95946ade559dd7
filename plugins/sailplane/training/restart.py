"""Work in a child process that is started again when something kills it: what it was at costs itself only."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType


def guarded(work: Callable[[], int], begun: Path) -> int:
    """The exit code of `work`, done in a forked process, anew after each that was killed: by the kernel for its memory,
    by a fault of native code, by itself because it hung. One that dies before it made the file `begun` ends it all:
    the next would die as well. To be called before there are threads."""
    children: list[int] = []
    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(128 + number)
        for child in children:
            os.kill(child, number)

    signal.signal(signal.SIGTERM, stop)
    while not told:
        begun.unlink(missing_ok=True)
        code = _attempt(work, children)
        if code >= 0:
            return code
        name = signal.Signals(-code).name
        print(f"The worker's process was killed by {name}{', often for memory' * (name == 'SIGKILL')}.", flush=True)  # noqa: T201
        if not begun.exists():
            return 128 - code
    return told[0]


def _attempt(work: Callable[[], int], children: list[int]) -> int:
    """Its exit code, negative for the signal that killed it."""
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
    """The kernel closes the other end with the parent, however that ends; another worker may have the trial, and this
    folder, from then on."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGKILL)
