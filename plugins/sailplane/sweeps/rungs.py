"""How well the ranks of a sweep's trials at each rung agree with their final ranks, which early stopping assumes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sailplane.records import Trial
from sailplane.sweeps.correlation import rank_correlation
from sailplane.sweeps.space import SweepConfig
from sailplane.sweeps.stopping import FEWEST_WHOLE, EarlyStopping, can_stop, stopped_early, whole_trials

# With a lower coefficient the ranks at the rung differ too much from the final ranks.
WEAK: Final = 0.5


@dataclass(frozen=True)
class Agreement:
    """Spearman's coefficient between the values at a band and the final scores of `trials` whole trials."""

    band: int
    trials: int
    correlation: float


def agreements(config: SweepConfig, trials: Sequence[Trial]) -> list[Agreement]:
    """The agreement at each band before the end; empty without early stopping."""
    if config.stopping is None:
        return []
    curves = [([v for v in trial.values if math.isfinite(v)], trial.score or 0.0) for trial in _whole(config, trials)]
    longest = max((len(values) for values, _ in curves), default=0)
    bands = [band for band in config.stopping.bands if band < longest]
    return [_agreement(band, curves) for band in bands]


def warning(config: SweepConfig, trials: Sequence[Trial]) -> str | None:
    """Why early stopping may have stopped the best trial, or stops no trial; None if there is no such reason."""
    rule, stopped = config.stopping, len(stopped_early(config.stopping, trials))
    if rule is None or not (stopped or rule.whole_trials):
        return None
    found = agreements(config, trials)
    enough = [rung for rung in found if rung.trials >= FEWEST_WHOLE]
    weak = [rung for rung in enough if _is_weak(rule, rung)]
    if weak:
        return " ".join(_weakly(rule, weak, stopped))
    if enough or not stopped:
        return None
    whole = max((rung.trials for rung in found), default=0)
    count = "1 trial" if stopped == 1 else f"{stopped} trials"
    return f"Early stopping stopped {count}, and {whole} ran to the end: too few to tell whether that was right."


def _whole(config: SweepConfig, trials: Sequence[Trial]) -> list[Trial]:
    if config.stopping and config.stopping.whole_trials:
        return whole_trials(config.stopping, trials)
    early = stopped_early(config.stopping, trials)
    return [trial for trial in trials if trial.state == "finished" and trial.number not in early]


def _agreement(band: int, curves: Sequence[tuple[list[float], float]]) -> Agreement:
    reached = [(values[band - 1], score) for values, score in curves if len(values) >= band]
    coefficient = rank_correlation([value for value, _ in reached], [score for _, score in reached])
    return Agreement(band, len(reached), coefficient)


def _is_weak(rule: EarlyStopping, found: Agreement) -> bool:
    if rule.whole_trials:
        return not can_stop(found.correlation, found.trials)
    return found.correlation < WEAK


def _weakly(rule: EarlyStopping, weak: Sequence[Agreement], stopped: int) -> Iterator[str]:
    bands = _listed(rung.band for rung in weak)
    values = "value" if [rung.band for rung in weak] == [1] else "values"
    coefficients = _listed(f"{rung.correlation:.2f}" for rung in weak)
    yield f"After {bands} {values} trial ranks correlate weakly with the final ranks: {coefficients}"
    yield f"(Spearman, {weak[0].trials} full trials)."
    if rule.whole_trials:
        yield "No trial is stopped there."
    else:
        yield f"The best trial may be among the {stopped} stopped trials."
        yield "The settings patience and whole_trials reduce this risk."


def _listed(items: Iterable[object]) -> str:
    *others, last = map(str, items)
    return f"{', '.join(others)} and {last}" if others else last
