"""How long a trial may take, and may say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

# A trial that was told to stop for its time gets a tenth of that time, or these seconds, to end with what it reached.
GRACE_SECONDS: Final = 10.0
# How many times as long as any other trial took one may say nothing.
PATIENCE: Final = 10.0
# That much is allowed to all.
SILENCE_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Limits:
    """In seconds. `total` is the sweep's max_trial_time; without one, a trial that is `silent` so long hangs."""

    total: float | None
    silent: float

    @classmethod
    def of(cls, total: float | None, longest: float, silence: float = SILENCE_SECONDS) -> Self:
        """`silence` is taken at least; `longest` is how long the longest trial took, 0 if there is none."""
        return cls(total, max(silence, PATIENCE * longest))

    def is_up(self, ran: float) -> bool:
        """Whether to tell the trial to stop."""
        return self.total is not None and ran > self.total

    def overstepped(self, ran: float, silent: float) -> str:
        """Why the trial is taken to hang, "" while it is not."""
        if self.total is not None:
            late = ran > self.total + max(GRACE_SECONDS, self.total / 10)
            return f"it ran for {ran:.0f} s, longer than max_trial_time, and did not stop when told to" if late else ""
        if silent <= self.silent:
            return ""
        return (
            f"it logged nothing for {silent:.0f} s and is taken to hang. If it needs that long, set max_trial_time "
            "under `sailplane` in the sweep file"
        )
