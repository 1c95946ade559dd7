"""The common frame of the clients: `client.py up|down FOLDER PREFIX` moves a folder, and prints the costs."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BUCKET = os.environ.get("BENCH_BUCKET", "")
ENDPOINT = os.environ.get("BENCH_ENDPOINT", "")
KEY = os.environ.get("BENCH_KEY", "")
SECRET = os.environ.get("BENCH_SECRET", "")
THREADS = 16

Move = Callable[[Path, str], object]


def measured(up: Move, down: Move) -> None:
    """Prints seconds, CPU seconds and peak memory in MiB of the move alone, without the imports."""
    direction, folder, prefix = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    begun, cpu = time.monotonic(), time.process_time()
    (up if direction == "up" else down)(folder, prefix)
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    # ru_maxrss would be the starting process's, if that is larger.
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    peak = int(found.group(1)) / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": peak}))


def each(one: Callable[[str], object], names: list[str]) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(one, names))


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
