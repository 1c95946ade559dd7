"""Simulated sweeps over known learning curves: which trials a rule stops, and what it saves. The curves are losses from
families that differ in how well an early value predicts the last one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sailplane.records import Trial
from sailplane.sweeps.stopping import EarlyStopping, stop_early

TRIALS, VALUES, WORKERS = 30, 27, 4
# Curves of the first project's trials, recorded by `tests/benchmarks/early_stopping.py`: sweeps of [score, values].
RECORDED = Path(__file__).parent / "benchmarks" / "recorded" / "early_stopping.json"


@dataclass(frozen=True)
class Curves:
    """Curves of losses. `reported[trial][n]` is a trial's n-th report, `final[trial]` its true quality."""

    reported: Sequence[Sequence[float]]
    final: Sequence[float]

    @property
    def best(self) -> int:
        return min(range(len(self.final)), key=lambda number: self.final[number])


@dataclass(frozen=True)
class Played:
    """The result of a sweep. `cost` is the share of all values that was reported, `given_away` how much worse the
    chosen trial is than the best."""

    trials: tuple[Trial, ...]
    stopped: frozenset[int]
    cost: float
    best_stopped: bool
    given_away: float


def well_behaved(draw: np.random.Generator, noise: float = 0.05) -> Curves:
    """All trials learn at the same speed."""
    quality, at = draw.normal(size=TRIALS), np.arange(1, VALUES + 1)
    return _noisy(draw, quality[:, None] + 4 * np.exp(-at / 5), noise)


def noisy(draw: np.random.Generator) -> Curves:
    """Values change from one epoch to the next by about as much as trials differ."""
    return well_behaved(draw, noise=0.9)


def best_learns_slowest(draw: np.random.Generator) -> Curves:
    """The better a trial ends, the later it starts to learn, give or take one or two epochs."""
    quality, at = draw.normal(size=TRIALS), np.arange(1, VALUES + 1)
    rank = np.argsort(np.argsort(-quality)) / (TRIALS - 1)
    delay = 2 + 10 * rank + draw.normal(0, 1.5, TRIALS)
    return _noisy(draw, quality[:, None] + 6 / (1 + np.exp((at - delay[:, None]) / 1.5)), 0.05)


def one_learns_slowest(draw: np.random.Generator) -> Curves:
    """Only the best trial starts late."""
    quality, at = draw.normal(size=TRIALS), np.arange(1, VALUES + 1)
    delay = np.where(quality == quality.min(), 12, 3)
    return _noisy(draw, quality[:, None] + 6 / (1 + np.exp((at - delay[:, None]) / 1.5)), 0.05)


FAMILIES: dict[str, Callable[[np.random.Generator], Curves]] = {
    "well-behaved": well_behaved,
    "noisy": noisy,
    "best learns slowest": best_learns_slowest,
    "one learns slowest": one_learns_slowest,
}


def recorded() -> list[Curves]:
    """Returns the curves of each recorded sweep. The recorded scores are maximized, so the losses are their
    negatives."""
    found: list[list[tuple[float, list[float]]]] = json.loads(RECORDED.read_text())["sweeps"]
    return [Curves([[-v for v in values] for _, values in sweep], [-score for score, _ in sweep]) for sweep in found]


def shuffled(curves: Curves, draw: np.random.Generator) -> Curves:
    """Returns the trials in another order, as another seed would have given them."""
    order = draw.permutation(len(curves.final))
    return Curves([curves.reported[n] for n in order], [curves.final[n] for n in order])


def play(curves: Curves, rule: EarlyStopping, workers: int = WORKERS) -> Played:
    """Plays a sweep. The workers report in turn; a worker whose trial ended or was stopped takes the next trial."""
    trials: list[Trial] = []
    running: list[int] = []
    stopped: set[int] = set()
    while len(trials) < len(curves.final) or running:
        while len(running) < workers and len(trials) < len(curves.final):
            running.append(len(trials))
            trials.append(Trial(sweep="s", number=len(trials), config={}, state="running"))
        for number in list(running):
            whole = curves.reported[number]
            values = (*trials[number].values, float(whole[len(trials[number].values)]))
            trials[number] = replace(trials[number], values=values)
            at_end = len(values) == len(whole)
            if not at_end and number in stop_early(rule, trials, maximize=False):
                stopped.add(number)
            if at_end or number in stopped:
                score = float(curves.final[number]) if at_end else values[-1]
                trials[number] = replace(trials[number], state="finished", score=score)
                running.remove(number)
    return _told(curves, tuple(trials), frozenset(stopped))


def _told(curves: Curves, trials: tuple[Trial, ...], stopped: frozenset[int]) -> Played:
    cost = sum(len(trial.values) for trial in trials) / sum(map(len, curves.reported))
    whole = [trial for trial in trials if trial.number not in stopped]
    # The sweep also chooses by the last report.
    chosen = min(whole, key=lambda trial: trial.values[-1]).number
    lost = curves.final[chosen] - curves.final[curves.best]
    return Played(trials, stopped, cost, curves.best in stopped, float(lost))


def _noisy(draw: np.random.Generator, clean: Any, noise: float) -> Curves:
    reported = clean + draw.normal(0, noise, clean.shape)
    return Curves(reported.tolist(), clean[:, -1].tolist())
