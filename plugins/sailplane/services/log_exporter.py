"""Exports the request log: copies the model servers' local files to the store.

`sailplane run request-log` runs this file as a loop. It is idle most of the time, so it imports only the standard
library; `python -m sailplane.services.log_exporter` exports once, in a process that exists only while there is work.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sailplane.home import Home

NAME = "request-log"
# The pause between two looks, between two exports, and after a first failed export; after that, ever longer.
LOOK_SECONDS = 5.0
PAUSE_SECONDS = 60.0
FAILED_SECONDS = 15.0
LONGEST_SECONDS = 300.0
_log = logging.getLogger(__name__)


def run(folder: Path) -> None:
    """Runs until SIGTERM, which also stops a running export."""
    failures, due = 0, 0.0
    while True:
        if time.monotonic() >= due and any(complete(path) for path in folder.rglob("[!.]*.spool")):
            failures = 0 if _export_in_child() == 0 else failures + 1
            due = time.monotonic() + pause(failures)
        time.sleep(LOOK_SECONDS)


def pause(failures: int) -> float:
    """Seconds until the next export after this many failures in a row."""
    if not failures:
        return PAUSE_SECONDS
    # A store may be unreachable for days, and a float cannot double forever.
    return min(FAILED_SECONDS * 2.0 ** min(failures - 1, 9), LONGEST_SECONDS)


def complete(path: Path) -> bool:
    """Whether no process writes the file any more."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _export_in_child() -> int:
    process = subprocess.Popen([sys.executable, "-P", "-m", "sailplane.services.log_exporter"])

    def stop(_number: int, _frame: FrameType | None) -> None:
        process.terminate()
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> int:
    """Exports once. Returns exit code 0, or 1 if the export fails."""
    from sailplane.errors import SailplaneError
    from sailplane.files import replace_file
    from sailplane.home import Home
    from sailplane.serving.spool import FAILURE

    home = Home.find()
    try:
        _export(home)
    except (SailplaneError, OSError, MemoryError) as error:
        reason = "there is not enough memory" if isinstance(error, MemoryError) else str(error)
        _log.error("%s", reason)
        replace_file(home.requests / FAILURE, json.dumps({"time": time.time(), "reason": reason}))
        return 1
    return 0


def _export(home: Home) -> None:
    """Exports once. Raises SailplaneError if the export fails."""
    from sailplane.errors import AccessError, ConfigurationError
    from sailplane.monitoring.log_export import export
    from sailplane.pairing import store_without_ledger
    from sailplane.storage.roots import Root

    root, remedy = Root.parse(home.store), "Let a DAG's ShipRequestsOperator do it."
    if root.connection:
        got = "its key is in a connection, which only Airflow can read"
        raise ConfigurationError("ship requests to", root.uri, got=got, remedy=remedy)
    try:
        exported = export(home.requests, store_without_ledger(home))
    except AccessError as error:
        remedy = f"If Airflow has a connection for it: {remedy[0].lower()}{remedy[1:]}"
        raise ConfigurationError("ship requests to", root.uri, got=error, remedy=remedy) from error
    counts = (exported.files, exported.rows, exported.feedback, exported.dropped)
    _log.info("%d files: %d rows, %d feedback, %d dropped", *counts)


def failure(folder: Path) -> str | None:
    """Why the last export failed; None if it succeeded."""
    from sailplane.serving.spool import FAILURE

    try:
        return str(json.loads((folder / FAILURE).read_text())["reason"])
    except (FileNotFoundError, ValueError):
        return None


if __name__ == "__main__":
    if sys.argv[1:]:
        run(Path(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Model servers have priority.
    os.nice(10)
    sys.exit(main())
