"""Selects running trials to stop early: reports in, trial numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat, takewhile
from operator import mul, truediv
from typing import Final, Literal

from sailplane.records import Record, Trial
from sailplane.sweeps.correlation import lower_bound, rank_correlation
from sailplane.sweeps.document import Section

# The bands of `min_iter` are endless; W&B makes a hundred.
MOST_BANDS: Final = 100
# The most values that a run may report.
MOST_VALUES: Final = 10**9
_ETA: Final = 3.0
# A rung stops trials only if its rank correlation with the final scores is confidently above this.
LEAST_CORRELATION: Final = 0.3
# With eight whole trials this needs a correlation of 0.72, with five 0.85.
FEWEST_WHOLE: Final = 5


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Record):
    """`hyperband` is W&B's rule: a run stops if its value at the last band that it reached is worse than that of the
    best `1/eta` of all runs there; without `strict`, if its best value so far is. It is applied after each value.

    `asha` decides once per band, when a run reaches it, and keeps the best `1/eta` of the runs there so far, including
    this one: fewer runs survive, and none is stopped between bands because of others. With `patience` a run stops only
    if it misses the best at that many bands in a row. With `whole_trials` = n, the first n successful trials run to
    their end. Until then no trial is stopped; afterwards a band stops trials only if the whole trials' ranks there
    agree with their final ranks: the lower 90% bound of Spearman's coefficient is above LEAST_CORRELATION. The rule
    does not select the whole trials, so its own decisions do not bias the coefficient.

    Bands count the reported values of the sweep's metric, not steps. Sources: W&B's engine `sweeps` 0.3.0 (MIT),
    hyperband_stopping.py; Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020 (ASHA, stopping type).
    """

    rule: Literal["hyperband", "asha"]
    bands: tuple[int, ...]
    eta: float
    strict: bool = True
    patience: int = 1
    whole_trials: int = 0


def stop_early(rule: EarlyStopping, trials: Sequence[Trial], *, maximize: bool) -> frozenset[int]:
    """The numbers of the running trials to stop. Values that are not finite are ignored."""
    sign = -1.0 if maximize else 1.0
    losses = {trial.number: [sign * value for value in trial.values if math.isfinite(value)] for trial in trials}
    stopped = _stopped_by_hyperband if rule.rule == "hyperband" else _stopped_by_asha
    running = (trial.number for trial in trials if trial.state == "running")
    losers = [number for number in running if stopped(rule, losses[number], losses.values())]
    if not losers or not rule.whole_trials:
        return frozenset(losers)
    whole = [(losses[trial.number], sign * (trial.score or 0.0)) for trial in whole_trials(rule, trials)]
    return frozenset(number for number in losers if _ranks_as_the_end(whole, len(losses[number])))


def whole_trials(rule: EarlyStopping, trials: Sequence[Trial]) -> list[Trial]:
    """The trials that always run to their end; empty until all of them have finished."""
    in_order = sorted(trials, key=lambda trial: trial.number)
    first = [trial for trial in in_order if trial.state != "failed"][: rule.whole_trials]
    ready = len(first) == rule.whole_trials and all(trial.state == "finished" for trial in first)
    return first if ready else []


def stopped_early(rule: EarlyStopping | None, trials: Sequence[Trial]) -> frozenset[int]:
    """The numbers of the finished trials that early stopping ended, judged by their reports: they reached the first
    band, but reported fewer values than others. Empty without early stopping."""
    if rule is None:
        return frozenset()
    longest = max((len(trial.values) for trial in trials), default=0)
    ended = (trial for trial in trials if trial.state == "finished")
    return frozenset(trial.number for trial in ended if rule.bands[0] <= len(trial.values) < longest)


def can_stop(correlation: float, whole: int) -> bool:
    """Whether a rung with this rank correlation over `whole` whole trials may stop other trials."""
    return lower_bound(correlation, whole) > LEAST_CORRELATION


def _ranks_as_the_end(whole: Sequence[tuple[list[float], float]], band: int) -> bool:
    pairs = [(loss[band - 1], final) for loss, final in whole if len(loss) >= band]
    return can_stop(rank_correlation([pair[0] for pair in pairs], [pair[1] for pair in pairs]), len(pairs))


def _stopped_by_hyperband(rule: EarlyStopping, loss: list[float], others: Iterable[list[float]]) -> bool:
    band = max(takewhile(lambda band: band <= len(loss), rule.bands), default=0)
    if not band:
        return False
    reached = _at(band, others)
    return (loss[band - 1] if rule.strict else min(loss)) > reached[int(1 / rule.eta * len(reached))]


def _stopped_by_asha(rule: EarlyStopping, loss: list[float], others: Iterable[list[float]]) -> bool:
    if len(loss) not in rule.bands:
        return False
    latest = rule.bands[: rule.bands.index(len(loss)) + 1][-rule.patience :]
    return len(latest) == rule.patience and all(_is_below(rule, loss, band, others) for band in latest)


def _is_below(rule: EarlyStopping, loss: list[float], band: int, others: Iterable[list[float]]) -> bool:
    reached = _at(band, others)
    return loss[band - 1] > reached[max(1, int(len(reached) / rule.eta)) - 1]


def _at(band: int, losses: Iterable[list[float]]) -> list[float]:
    """The values of all runs at a band, best first."""
    return sorted(loss[band - 1] for loss in losses if len(loss) >= band)


def read_early_terminate(section: Section) -> EarlyStopping:
    """Reads W&B's `early_terminate`. `max_iter` takes precedence over `min_iter`."""
    section.allow(("type", "min_iter", "max_iter", "s", "eta", "strict"))
    section.require("type")
    section.choice("type", ("hyperband",))
    eta = _eta(section)
    if "max_iter" in section:
        section.require("s")
        bands = _to_last(section.whole("max_iter", at_least=1), eta)[: section.whole("s", at_least=1)][::-1]
    else:
        section.require("min_iter")
        bands = _from_first(section.whole("min_iter", at_least=1), eta)
    if not bands:
        remedy = "Make max_iter larger, or eta smaller."
        raise section.wrong("max_iter", "no bands remain", expected=f"max_iter of at least {eta:g}", remedy=remedy)
    strict = section.get("strict", True)
    if not isinstance(strict, bool):
        raise section.wrong("strict", f"strict is {strict!r}", expected="true or false")
    return EarlyStopping(rule="hyperband", bands=bands, eta=eta, strict=strict)


def read_asha(section: Section) -> EarlyStopping:
    """Reads the settings `sailplane: asha:`."""
    section.allow(("min_iter", "eta", "patience", "whole_trials"))
    eta = _eta(section)
    first = section.whole("min_iter", at_least=1) if "min_iter" in section else 1
    patience = section.whole("patience", at_least=1) if "patience" in section else 1
    whole = section.whole("whole_trials", at_least=FEWEST_WHOLE) if "whole_trials" in section else 0
    bands = _from_first(first, eta)
    return EarlyStopping(rule="asha", bands=bands, eta=eta, patience=patience, whole_trials=whole)


def _from_first(first: int, eta: float) -> tuple[int, ...]:
    """`first` and its multiples by powers of eta, up to what runs can reach."""
    bands = accumulate(repeat(eta, MOST_BANDS - 1), mul, initial=float(first))
    return tuple(dict.fromkeys(int(band) for band in bands if band < MOST_VALUES))


def _to_last(most: int, eta: float) -> tuple[int, ...]:
    """The bands before `most`, last one first."""
    bands = accumulate(repeat(eta, MOST_BANDS), truediv, initial=float(most))
    return tuple(int(band) for band in bands if band >= 1)[1:]


def _eta(section: Section) -> float:
    value = section.get("eta", _ETA)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 1:
        raise section.wrong("eta", f"eta is {value!r}", expected="a number above 1")
    return float(value)
