"""Rows of days whose weather two equally good models misjudge, each in its own way. The true difference is 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.influence import influence
from sailplane.evaluation.metrics import metrics

METRICS = ("auc", "log_loss", "brier")


@dataclass(frozen=True)
class Days:
    """`own` and `common` are the deviation of a day's error in the log-odds: of each model's own error, and of the
    truth."""

    sizes: Sequence[int]
    own: float = 0.0
    common: float = 0.0
    classes: int = 2

    def draw(self, random: np.random.Generator) -> tuple[NDArray[np.int64], list[NDArray[np.float64]], Clusters]:
        """Draws labels, the probabilities of the two models, and the days."""
        day = np.repeat(np.arange(len(self.sizes)), self.sizes)
        outputs = 1 if self.classes == 2 else self.classes
        signal = random.normal(size=(len(day), outputs))
        truth = signal - 0.8 + self.common * random.normal(size=(len(self.sizes), outputs))[day]
        errors = [self.own * random.normal(size=(len(self.sizes), outputs))[day] for _ in range(2)]
        scores = [signal - 0.8 + error + 0.5 * random.normal(size=signal.shape) for error in errors]
        if outputs == 1:
            target = (random.random(len(day)) < _sigmoid(truth[:, 0])).astype(np.int64)
            return target, [_sigmoid(score) for score in scores], Clusters.of(day)
        target = (truth + random.gumbel(size=truth.shape)).argmax(axis=1)
        return target, [np.exp(score) / np.exp(score).sum(axis=1, keepdims=True) for score in scores], Clusters.of(day)


def outside(days: Days, draws: int, seed: int, level: float = 0.95) -> dict[str, tuple[float, float]]:
    """Returns, by metric, the share of two-sided intervals of the difference without 0, and of one-sided lower bounds
    above 0, at `level`."""
    random, missed = np.random.default_rng(seed), {name: np.zeros(2) for name in METRICS}
    for _ in range(draws):
        target, scores, clusters = days.draw(random)
        values = [metrics(target, score) for score in scores]
        rows = [influence(target, score) for score in scores]
        for name in METRICS:
            apart, by = values[0][name] - values[1][name], rows[0][name] - rows[1][name]
            low, high, least = (
                clusters.bound(apart, by, share) for share in (0.5 - level / 2, 0.5 + level / 2, 1 - level)
            )
            assert low is not None
            assert high is not None
            assert least is not None
            missed[name] += (not low <= 0 <= high, least > 0)
    return {name: (float(both / draws), float(one / draws)) for name, (both, one) in missed.items()}


def covered(days: Days, draws: int, seed: int) -> dict[str, float]:
    """Returns, by metric, the share of the first model's two-sided 95% intervals that contain the mean over all
    draws."""
    random = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METRICS}
    for _ in range(draws):
        target, (score, _), clusters = days.draw(random)
        values, rows = metrics(target, score), influence(target, score)
        for name in METRICS:
            low, high = (clusters.bound(values[name], rows[name], share) for share in (0.025, 0.975))
            assert low is not None
            assert high is not None
            found[name].append((values[name], low, high))
    shares = {}
    for name, each in found.items():
        value, low, high = np.array(each).T
        shares[name] = float(np.mean((low <= value.mean()) & (value.mean() <= high)))
    return shares


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits)))
