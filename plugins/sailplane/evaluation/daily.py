"""The gain over the champion day by day, and the evidence of all days since that champion took over.

Test windows overlap. Each day counts once: in the first evaluation against this champion that has rows of that day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from sailplane.evaluation.gate import DAY, Gate
from sailplane.evaluation.metrics import metric
from sailplane.evaluation.sequence import false_promotions, log_evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Larger evidence is shown as 9999+.
_MOST: Final = 9999


def day_gains(
    gate: Gate,
    target: NDArray[np.generic],
    days: NDArray[np.generic],
    scores: Mapping[str, NDArray[np.floating]],
) -> dict[str, float]:
    """The challenger's gain over the champion on the rows of each day, by ISO day. Days with a single class are left
    out. Empty without a champion.

    :param target: labels [n]
    :param days: the ISO day of each row [n]
    :param scores: [n, outputs] each, by contender
    """
    if not {"challenger", "champion"} <= set(scores):
        return {}
    found = {}
    for day in np.unique(days):
        here = days == day
        if len(np.unique(target[here])) > 1:
            mine, its = (metric(gate.metric, target[here], scores[name][here]) for name in ("challenger", "champion"))
            found[str(day)] = gate.gain(mine - its)
    return found


@dataclass(frozen=True, kw_only=True)
class DailyEvidence:
    """The evidence against "the pipeline is not better than this champion by more than the gate requires".

    :param days: how many days are counted
    :param log_evidence: the logarithm of the e-process
    :param level: the probability of a false promotion that the gate allows for each champion
    """

    days: int
    log_evidence: float
    level: float

    @classmethod
    def of(cls, gate: Gate, gains: Mapping[str, float]) -> Self | None:
        """The evidence of days in the order in which they were counted; None if the gate judges each window alone."""
        if not gate.sequential:
            return None
        beyond = [gain - gate.beat_champion_by for gain in gains.values()]
        return cls(days=len(beyond), log_evidence=log_evidence(beyond), level=gate.level)

    @property
    def enough(self) -> bool:
        return self.log_evidence >= math.log(needed(self.level))

    @property
    def evidence(self) -> float:
        """The e-process, cut where a float would overflow: JSON has no infinity."""
        return math.exp(min(self.log_evidence, 700.0))

    def __str__(self) -> str:
        counted = f"{self.days:,} day{'' if self.days == 1 else 's'}"
        return f"e = {shown(self.evidence)} of {needed(self.level):.4g} needed, from {counted}"


def shown(evidence: float) -> str:
    """Formats the evidence in at most five characters: 0.42, 12.3, 1448, 9999+."""
    if evidence > _MOST:
        return f"{_MOST}+"
    return f"{evidence:.2f}" if evidence < 10 else f"{evidence:.1f}" if evidence < 100 else f"{evidence:.0f}"


def needed(level: float) -> float:
    """The value that the e-process must reach to replace a champion."""
    return 1 / level


def expected_false_promotions(gate: Gate) -> float | None:
    """The largest expected number a year if no model is better than its champion; None without a limit."""
    return false_promotions(gate.level) if gate.sequential else None


def limit_text(gate: Gate) -> str:
    """A sentence on what limits the false promotions of a gate that looks every day, or which setting would."""
    if (expected := expected_false_promotions(gate)) is not None:
        return (
            f"false promotions: at most {expected:.2g} expected a year if no model is better than its champion, "
            "however often the gate looks"
        )
    if gate.confidence is not None:
        return (
            f"false promotions: no limit over repeated looks, since the confidence holds for one evaluation with "
            f'cluster="{gate.cluster}". Set Gate(cluster="{DAY}") to limit them'
        )
    if gate.metric == "calibration_error":
        return "false promotions: no limit over repeated looks, since a gate on calibration_error has no confidence"
    return "false promotions: no limit over repeated looks, since the gate has no confidence. Set Gate(confidence=0.95)"
