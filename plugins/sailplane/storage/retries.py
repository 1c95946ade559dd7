"""How often and how long a service is asked again: with backoff and jitter, for a bounded time."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass

from sailplane.errors import StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """At most `tries`, the last one begun at most `seconds` after the first failure. The waits between them double
    from `first` to `longest` seconds, less up to a half by chance."""

    tries: int = 8
    seconds: float = 90
    first: float = 0.1
    longest: float = 10


class Attempts:
    """How often one thing was tried, in vain, since it last made progress."""

    def __init__(self, patience: RetryPolicy) -> None:
        self._patience = patience
        self._waits = self.failures = 0
        self._until = 0.0

    def progressed(self) -> None:
        self._waits = self.failures = 0

    def failed(self, error: StorageError, least: float = 0, *, overtaken: bool = False) -> None:
        """Waits, at least `least` seconds, for the next try; raises `error` if there is none. To be overtaken by
        somebody who succeeded is no failure: then only the time counts."""
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
