"""Keeps HTTP clients' lines about each request out of task logs."""

from __future__ import annotations

import logging
from typing import Final

CLIENTS: Final = ("httpx", "httpx2")


def hush() -> None:
    """Hides their messages below WARNING, unless another level is set."""
    for name in CLIENTS:
        client = logging.getLogger(name)
        if client.level == logging.NOTSET:
            client.setLevel(logging.WARNING)
