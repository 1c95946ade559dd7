"""Limits the bytes of requests and replies in memory, and returns freed memory to the system."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from sailplane.errors import OverloadError

# A longer body is read in parts, one request at a time.
LONG_BODY: Final = 64 * 2**10
MOST_BYTES: Final = 64 * 2**20
# Extra room for short requests, so that they are answered while long ones use up the rest.
_FOR_SHORT: Final = 32 * 2**20
_WORTH_A_TRIM: Final = 4 * 2**20
# The approximate bytes per second that a server reads and scores, for Retry-After.
_PACE: Final = 10 * 2**20
# https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


class InFlight:
    """Counts the bytes of requests and replies in progress. Calls `idle` after the last large body is released."""

    def __init__(self, most: int = MOST_BYTES, idle: Callable[[], None] = lambda: None) -> None:
        self._most, self._idle = most, idle
        self._held = self._highest = 0

    @property
    def held(self) -> int:
        return self._held

    def hold(self, size: int, *, of: int) -> None:
        """Counts `size` more bytes of a body, `of` bytes in total so far. Raises OverloadError if there is no room."""
        most = self._most if of > LONG_BODY else self._most + _FOR_SHORT
        if self._held + size > most:
            got, wait = f"{self._held} bytes of other requests are being answered", 1 + self._held // _PACE
            raise OverloadError("read request", got=got, remedy="Send it again later.", retry_after=wait)
        self.add(size)

    def add(self, size: int) -> None:
        """Counts bytes already in memory: a reply, or a message that arrived whole."""
        self._held += size
        self._highest = max(self._highest, self._held)

    def discarded(self) -> None:
        """Notes that a message was dropped before it was counted, so its memory is free."""
        self._highest = max(self._highest, _WORTH_A_TRIM + 1)
        self.release(0)

    def release(self, size: int) -> None:
        self._held -= size
        if self._highest > _WORTH_A_TRIM and self._held <= LONG_BODY:
            self._highest = 0
            self._idle()


def return_early() -> None:
    """Makes the allocator return large blocks when they are freed. By default glibc's thresholds grow with the blocks
    it has seen, so the process would keep the memory of a few large bodies."""
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_MMAP_THRESHOLD, 128 * 2**10)
        libc.mallopt(_TRIM_THRESHOLD, 2 * 2**20)
        libc.mallopt(_ARENA_MAX, 2)


def trim() -> None:
    """Returns free memory to the system. Collects garbage first: an exception and its frames hold each other, and the
    request body, in a cycle."""
    gc.collect()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    libc = None
    with suppress(OSError):
        libc = ctypes.CDLL(None)
    return libc if libc is not None and hasattr(libc, "malloc_trim") else None
