"""Loopback ports for the servers that tests start."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator

# Below the ports that the kernel gives to clients, which could take a port before its server does; above those that
# services have by default; and apart from those of a model (20,000 on) and of SeaweedFS in `tests.s3` (12,000 on).
_FIRST, _LAST = 10_300, 11_999


def free_port() -> int:
    """Returns a port that this process has not returned before, and that no other pytest worker uses."""
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
