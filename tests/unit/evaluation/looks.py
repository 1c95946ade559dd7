"""A pipeline that is judged every day against one champion, on overlapping windows of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.daily import DailyEvidence, day_gains
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import counted
from sailplane.evaluation.intervals import Intervals
from sailplane.evaluation.judge import gain_at_least
from sailplane.evaluation.metrics import metric
from sailplane.evaluation.verdict import Evidence, Metrics, verdict

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
        """Both models know the same signal. The challenger's scores have noise of 0.5, those of the champion `noise`;
        `own` is how much each misjudges the spread of a day's scores, each in its own way."""
        days = np.repeat(np.arange(looks + WINDOW - 1), rows)
        signal = random.normal(size=len(days))
        target = (random.random(len(days)) < _sigmoid(signal)).astype(np.int64)
        scores = {}
        for name, much in (("challenger", 0.5), ("champion", noise)):
            off = much * np.exp(own * random.normal(size=looks + WINDOW - 1))[days]
            scores[name] = _sigmoid(signal + off * random.normal(size=len(days)))[:, None]
        return cls(target, days, scores)

    def window(self, look: int) -> Pipeline:
        """What the look sees, the first is 1."""
        here = (self.days >= look - 1) & (self.days < look - 1 + WINDOW)
        return Pipeline(self.target[here], self.days[here], {name: one[here] for name, one in self.scores.items()})

    @property
    def looks(self) -> int:
        return int(self.days[-1]) + 2 - WINDOW


def promoted(gate: Gate, found: Pipeline) -> tuple[int | None, int | None]:
    """The first look that ships the challenger by the evidence of all days, and by each window's interval alone, as
    with clusters other than the day."""
    alone = Gate(confidence=gate.confidence, cluster="another day")
    gains = day_gains(gate, found.target, np.char.mod("%04d", found.days), found.scores)
    past: dict[str, float] = {}
    by_evidence = by_window = None
    for look in range(1, found.looks + 1):
        seen = found.window(look)
        names = {f"{day:04}" for day in seen.days}
        past = counted([past, {day: gain for day, gain in gains.items() if day in names}])
        measured = {name: {"auc": metric("auc", seen.target, one)} for name, one in seen.scores.items()}
        if by_evidence is None and _ships(gate, measured, daily=DailyEvidence.of(gate, past)):
            by_evidence = look
        if by_window is None:
            known = Intervals.of(Clusters.of(seen.days), seen.target, seen.scores)
            by_window = look if _ships(alone, measured, gain_at_least=gain_at_least(alone, known, measured)) else None
        if by_evidence and by_window:
            break
    return by_evidence, by_window


def _ships(gate: Gate, measured: Metrics, **found: DailyEvidence | float | None) -> bool:
    rules = verdict(gate, Evidence(metrics=measured, **found))  # type: ignore[arg-type]
    return all(rule.passed for rule in rules if rule.name == "champion")


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))
