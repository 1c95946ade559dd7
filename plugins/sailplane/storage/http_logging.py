"""What HTTP clients say of each request is not for a task's log."""

from __future__ import annotations

import logging
from typing import Final

CLIENTS: Final = ("httpx", "httpx2")


def hush() -> None:
    """Below WARNING, unless somebody has set another level."""
    for name in CLIENTS:
        client = logging.getLogger(name)
        if client.level == logging.NOTSET:
            client.setLevel(logging.WARNING)
