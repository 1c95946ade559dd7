"""Ports of loopback for the servers that tests start."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator

# Below the ports that the kernel gives to clients, or one of those may take the port before its server does; above
# those that services have by default; and apart from a model's (20,000 on) and SeaweedFS' in `tests.s3` (12,000 on).
_FIRST, _LAST = 10_300, 11_999


def free_port() -> int:
    """None that this process was given already, and none of another of pytest's workers."""
    return next(_ports)


def _free_ports() -> Iterator[int]:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = list(range(_FIRST + worker, _LAST + 1, workers))
    while True:
        yield from (port for port in random.sample(mine, len(mine)) if is_free(port))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports = _free_ports()
