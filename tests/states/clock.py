"""The time of rollouts: it passes when somebody looks, so that a fixed seed gives the same decisions again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

# Behind the real time, so that a killed driver's leases are over for everyone who uses that.
_BEHIND: Final = 3600.0
_A_LOOK: Final = 1.0
_LONGEST: Final = 0.05


@dataclass
class Clock:
    """Seconds since 1970."""

    now: float = field(default_factory=lambda: time.time() - _BEHIND)

    def __call__(self) -> float:
        self.now += _A_LOOK / 100
        return self.now

    def pass_a_look(self) -> None:
        self.now += _A_LOOK

    def sleep(self, seconds: float) -> None:
        """A model server that is awaited needs some real time."""
        time.sleep(min(seconds, _LONGEST))
        self.now += seconds
