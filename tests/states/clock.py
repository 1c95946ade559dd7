"""The time of rollouts. It passes only when somebody looks, so a fixed seed gives the same decisions again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

# Behind the real time, so the leases of a killed driver have expired for everyone who uses the real time.
_BEHIND: Final = 3600.0
_A_LOOK: Final = 1.0
_LONGEST: Final = 0.05


@dataclass
class Clock:
    """The time, in seconds since 1970."""

    now: float = field(default_factory=lambda: time.time() - _BEHIND)

    def __call__(self) -> float:
        self.now += _A_LOOK / 100
        return self.now

    def pass_a_look(self) -> None:
        self.now += _A_LOOK

    def sleep(self, seconds: float) -> None:
        """Sleeps for some real time, which a starting model server needs."""
        time.sleep(min(seconds, _LONGEST))
        self.now += seconds
