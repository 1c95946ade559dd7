"""A pipeline that is judged every day against one champion, on overlapping windows of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.daily import DailyEvidence, day_gains
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import merge_gains
from sailplane.evaluation.intervals import Intervals
from sailplane.evaluation.judge import gain_at_least
from sailplane.evaluation.metrics import metric
from sailplane.evaluation.verdict import Evidence, verdict

WINDOW = 7
LOOKS = 24


@dataclass(frozen=True)
class Pipeline:
    """The rows of all days and the scores of both models."""

    target: NDArray[np.int64]
    days: NDArray[np.int64]
    scores: dict[str, NDArray[np.float64]]

    @classmethod
    def draw(
        cls, random: np.random.Generator, *, rows: int, looks: int = LOOKS, noise: float = 0.5, own: float = 0.4
    ) -> Self:
        """Draws two models with the same signal. The challenger's scores have noise of 0.5, the champion's `noise`;
        `own` is how much each model misjudges the spread of a day's scores."""
        days = np.repeat(np.arange(looks + WINDOW - 1), rows)
        signal = random.normal(size=len(days))
        target = (random.random(len(days)) < _sigmoid(signal)).astype(np.int64)
        scores = {}
        for name, much in (("challenger", 0.5), ("champion", noise)):
            off = much * np.exp(own * random.normal(size=looks + WINDOW - 1))[days]
            scores[name] = _sigmoid(signal + off * random.normal(size=len(days)))[:, None]
        return cls(target, days, scores)

    def window(self, look: int) -> Pipeline:
        """Returns the rows and scores at a look; the first look is 1."""
        here = (self.days >= look - 1) & (self.days < look - 1 + WINDOW)
        return Pipeline(self.target[here], self.days[here], {name: one[here] for name, one in self.scores.items()})

    def measured(self) -> dict[str, dict[str, float]]:
        return {name: {"auc": metric("auc", self.target, one)} for name, one in self.scores.items()}

    @property
    def looks(self) -> int:
        return int(self.days[-1]) + 2 - WINDOW


def promoted_by_evidence(gate: Gate, found: Pipeline) -> int | None:
    """Returns the first look after which the gate promotes the challenger."""
    gains = day_gains(gate, found.target, np.char.mod("%04d", found.days), found.scores)
    past: dict[str, float] = {}
    for look in range(1, found.looks + 1):
        seen = found.window(look)
        names = {f"{day:04}" for day in seen.days}
        past = merge_gains([past, {day: gain for day, gain in gains.items() if day in names}])
        daily = DailyEvidence.of(gate, past)
        # Without enough evidence the window's metrics do not matter.
        if daily and daily.enough and _ships(gate, Evidence(metrics=seen.measured(), daily=daily)):
            return look
    return None


def promoted_by_window(gate: Gate, found: Pipeline) -> int | None:
    """Returns the same if each window's interval decides alone, as with clusters other than days."""
    alone = Gate(confidence=gate.confidence, cluster="another day")
    for look in range(1, found.looks + 1):
        seen = found.window(look)
        known, measured = Intervals.of(Clusters.of(seen.days), seen.target, seen.scores), seen.measured()
        at_least = gain_at_least(alone, known, measured)
        if _ships(alone, Evidence(metrics=measured, gain_at_least=at_least)):
            return look
    return None


def promoted_by_gain(_: Gate, found: Pipeline) -> int | None:
    """Returns the same for a gate without confidence, where each window's gain decides."""
    for look in range(1, found.looks + 1):
        if _ships(Gate(), Evidence(metrics=found.window(look).measured())):
            return look
    return None


def _ships(gate: Gate, found: Evidence) -> bool:
    return all(rule.passed for rule in verdict(gate, found) if rule.name == "champion")


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))
