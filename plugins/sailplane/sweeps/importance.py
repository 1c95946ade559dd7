"""The importance of parameters for a sweep's scores, compared with chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sailplane.records import Record, Trial
from sailplane.sweeps.space import SweepConfig

# With fewer trials, noise alone gives some parameter half of the variance.
FEWEST: Final = 20


@dataclass(frozen=True, kw_only=True)
class ParameterImportance(Record):
    """Shares of the variance, 0 to 1. `low` to `high` covers 90% of the trees, each grown on a resample of the trials.
    In 95% of permutations of the scores no parameter explains more than `chance`."""

    share: float
    low: float
    high: float
    chance: float

    @property
    def is_noise(self) -> bool:
        """Whether it is not distinguishable from noise."""
        return self.share <= self.chance

    @property
    def described(self) -> str:
        """The share with its range, in percent."""
        share = f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%})"
        return f"{share}, not distinguishable from noise" if self.is_noise else share


def importances(config: SweepConfig, trials: Sequence[Trial]) -> dict[str, ParameterImportance]:
    """The share of the scores' variance that each parameter explains alone, largest first; empty if `no_importance`
    gives a reason. On pure noise at most 5% of sweeps have a parameter above the noise."""
    if no_importance(config, trials):
        return {}
    # NumPy and scikit-learn take a second to import.
    import numpy as np

    from sailplane.sweeps.anova import tested

    finished = [trial for trial in trials if trial.state == "finished"]
    free = [parameter for parameter in config.parameters if parameter.distribution != "constant"]
    points = [[parameter.quantile(parameter.of(trial.config)) for parameter in free] for trial in finished]
    shares, chance = tested(points, np.array([trial.score or 0.0 for trial in finished]))
    means, (lows, highs) = shares.mean(axis=0), np.quantile(shares, [0.05, 0.95], axis=0)
    found = {
        parameter.name: ParameterImportance(share=float(share), low=float(low), high=float(high), chance=chance)
        for parameter, share, low, high in zip(free, means, lows, highs, strict=True)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].share))


def no_importance(config: SweepConfig, trials: Sequence[Trial]) -> str | None:
    """The reason why the parameters' importance is unknown; None if it is known."""
    if all(parameter.distribution == "constant" for parameter in config.parameters):
        return "all parameters are constant"
    scores = [trial.score for trial in trials if trial.state == "finished"]
    if len(scores) < FEWEST:
        return f"too few trials: {len(scores)} finished; at least {FEWEST} are needed"
    return "all scores are equal" if len(set(scores)) == 1 else None
