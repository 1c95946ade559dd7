"""Runs a deed in a separate process: to its end, until it is killed, or with a disk that is full.

The process is killed at a counted call of a function of the platform and not after some time, so a fixed seed always
kills at the same line."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal

from hypothesis import strategies as st

import sailplane
from sailplane.errors import SailplaneError
from sailplane.files import private_folder
from sailplane.home import Home

# The fork server has imported everything and started no thread. A fork of the test itself would copy its locks.
_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.states.deeds", "tests.states.housekeeping", "onnxruntime"])
_LONGEST_SECONDS: Final = 120.0
# From the first call to the end of most deeds.
CALLS: Final = st.floats(0.5, 4.0).map(lambda power: int(10**power))
Deed = Callable[..., Any]
_PACKAGE: Final = str(Path(sailplane.__file__).parent)


@dataclass(frozen=True)
class Outcome:
    """`value` is the deed's result, or the message with which the platform refused it."""

    end: Literal["done", "refused", "killed"]
    value: Any = None


def apart(deed: Deed, home: Home, *arguments: Any, calls: int | None = None, file_bytes: int | None = None) -> Outcome:
    """`calls`: the process is killed after this many calls of the platform. `file_bytes`: no file grows larger."""
    mine, theirs = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_do, args=(theirs, calls, file_bytes, deed, (home, *arguments)), daemon=True)
    process.start()
    theirs.close()
    with mine:
        ended = mine.poll(_LONGEST_SECONDS)
        if not ended:
            process.kill()
        assert ended, f"{deed.__name__} did not end in {_LONGEST_SECONDS:g} s"
        try:
            end, value = mine.recv()
        except EOFError:
            end, value = "killed", None
        process.join()
    assert end != "broken", value
    assert end != "killed" or calls is not None, f"{deed.__name__} died: {process.exitcode}"
    return Outcome(end, value)


def _do(
    answer: Connection,
    calls: int | None,
    file_bytes: int | None,
    deed: Deed,
    arguments: tuple[Any, ...],
) -> None:
    # A killed deed leaves its temporary files to the world, which removes them at its end.
    tempfile.tempdir = str(private_folder(arguments[0].root.parent / "temporary"))
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    if calls is not None:
        killed = _Killed(calls)
        threading.setprofile(killed)
        sys.setprofile(killed)
    try:
        answer.send(("done", deed(*arguments)))
    except SailplaneError as error:
        answer.send(("refused", str(error)))
    except BaseException:
        answer.send(("broken", traceback.format_exc()))


class _Killed:
    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_PACKAGE):
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
