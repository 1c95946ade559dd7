"""Limits on the duration and the silence of a trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

# A trial that must stop for its time gets a tenth of that time, or at least these seconds, to finish.
GRACE_SECONDS: Final = 10.0
# A trial may be silent for this many times the duration of the longest other trial.
PATIENCE: Final = 10.0
# Every trial may be silent for this long.
SILENCE_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class TrialLimits:
    """Limits in seconds. `total` is the sweep's max_trial_time; without it, a trial that logs nothing for `silent`
    seconds counts as hung."""

    total: float | None
    silent: float

    @classmethod
    def of(cls, total: float | None, longest: float, silence: float = SILENCE_SECONDS) -> Self:
        """The limits of the next trial. `silence` is the least time that a trial may be silent; `longest` is the
        duration of the longest trial so far, or 0."""
        return cls(total, max(silence, PATIENCE * longest))

    def is_up(self, ran: float) -> bool:
        """Whether to tell the trial to stop."""
        return self.total is not None and ran > self.total

    def exceeded(self, ran: float, silent: float) -> str:
        """Why the trial counts as hung; "" if it does not."""
        if self.total is not None:
            late = ran > self.total + max(GRACE_SECONDS, self.total / 10)
            return f"it ran for {ran:.0f} s, longer than max_trial_time, and ignored its stop request" if late else ""
        if silent <= self.silent:
            return ""
        return (
            f"it logged nothing for {silent:.0f} s and counts as hung. If it needs that long, set max_trial_time "
            "under `sailplane` in the sweep file"
        )
