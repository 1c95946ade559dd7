"""Retries with backoff and jitter, for a bounded time."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass

from sailplane.errors import StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """At most `tries` attempts, the last one at most `seconds` after the first failure. The waits double from `first`
    to `longest` seconds, each reduced at random by up to a half."""

    tries: int = 8
    seconds: float = 90
    first: float = 0.1
    longest: float = 10


class Attempts:
    """Counts failed attempts since the last progress."""

    def __init__(self, patience: RetryPolicy) -> None:
        self._patience = patience
        self._waits = self.failures = 0
        self._until = 0.0

    def progressed(self) -> None:
        self._waits = self.failures = 0

    def failed(self, error: StorageError, least: float = 0, *, overtaken: bool = False) -> None:
        """Waits at least `least` seconds for the next attempt; raises `error` if there is none. With `overtaken`,
        another writer succeeded first: that is not a failed attempt, and only the time counts."""
        patience, now = self._patience, time.monotonic()
        self._until = self._until if self._waits else now + patience.seconds
        wait = min(patience.longest, patience.first * 2**self._waits) * random.uniform(0.5, 1)  # noqa: S311
        wait = max(wait, least)
        self._waits += 1
        self.failures += not overtaken
        if self.failures >= patience.tries or now + wait > self._until:
            raise error
        log.warning("%s Trying again in %.1f s.", error, wait)
        time.sleep(wait)
