"""`sailplane run request-log`: has what the model servers left shipped to the store, again and again.

It rests most of the time, so that it is nothing but the standard library; the work is done by a process of its own,
which is only there while there is something to ship.
"""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

NAME = "request-log"
# How often it looks; between two shipments; and after the first one that failed, then ever longer.
LOOK_SECONDS = 5.0
PAUSE_SECONDS = 60.0
FAILED_SECONDS = 15.0
LONGEST_SECONDS = 300.0


def main(folder: Path) -> None:
    """For ever, until it is told to stop; then what it has started is stopped with it."""
    failures, due = 0, 0.0
    while True:
        if time.monotonic() >= due and any(complete(path) for path in folder.rglob("[!.]*.spool")):
            failures = 0 if _ship() == 0 else failures + 1
            due = time.monotonic() + pause(failures)
        time.sleep(LOOK_SECONDS)


def pause(failures: int) -> float:
    """Seconds until the next one, after so many in a row that failed."""
    if not failures:
        return PAUSE_SECONDS
    # A store that is away for days: there is an end to what a float can double.
    return min(FAILED_SECONDS * 2.0 ** min(failures - 1, 9), LONGEST_SECONDS)


def complete(path: Path) -> bool:
    """Whether nobody writes it any more."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _ship() -> int:
    process = subprocess.Popen([sys.executable, "-P", "-m", "sailplane.services.shipment"])

    def stop(_number: int, _frame: FrameType | None) -> None:
        process.terminate()
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
