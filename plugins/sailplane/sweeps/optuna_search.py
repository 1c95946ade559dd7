"""Trials as Optuna sees them: as quantiles, so that each distribution of the file is the prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from sailplane.records import Trial
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.space import SweepConfig

Values = dict[tuple[str, ...], Any]


class Study:
    """Optuna's view of the past trials of a sweep."""

    def __init__(self, config: SweepConfig, trials: Sequence[Trial], sampler: optuna.samplers.BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._fixed = [p for p in config.parameters if p.distribution == "constant"]
        self._free = [p for p in config.parameters if p.distribution != "constant"]
        self._space = {p.name: _distribution(p) for p in self._free}
        self.optuna = optuna.create_study(direction=config.goal, sampler=sampler)
        past = sorted(trials, key=lambda trial: trial.number)
        scored = zip(past, scores(config, past), strict=True)
        self.optuna.add_trials([self._past(trial, score) for trial, score in scored])

    def ask(self) -> Values:
        """The next values by parameter path."""
        proposed = self.optuna.ask(self._space).params
        free = {p.path: _from_optuna(p, proposed[p.name]) for p in self._free}
        return {p.path: p.values[0] for p in self._fixed} | free

    def _past(self, trial: Trial, score: float | None) -> optuna.trial.FrozenTrial:
        params = {p.name: _to_optuna(p, p.of(trial.config)) for p in self._free}
        if score is not None and math.isfinite(score):
            state = TrialState.COMPLETE
        else:
            score, state = None, TrialState.RUNNING if trial.state == "running" else TrialState.FAIL
        return optuna.trial.create_trial(params=params, distributions=dict(self._space), value=score, state=state)


def free_parameters(config: SweepConfig) -> int:
    """The number of parameters to search."""
    return sum(p.distribution != "constant" for p in config.parameters)


def scores(config: SweepConfig, past: Sequence[Trial]) -> list[float | None]:
    """The score of each trial for the search; None for a pending running trial, and for a trial without information.

    W&B's `impute` and `impute_while_running` give scores to trials without their own.
    """
    known = [trial.score for trial in past if trial.state == "finished" and trial.score is not None]
    low, high = (min(known), max(known)) if known else (None, None)
    imputed_scores = {"worst": low, "best": high} if config.maximize else {"worst": high, "best": low}

    def imputed(rule: str, trial: Trial) -> float | None:
        return trial.values[-1] if rule == "latest" and trial.values else imputed_scores.get(rule)

    def score(trial: Trial) -> float | None:
        if trial.state == "finished":
            return trial.score
        if trial.state == "failed":
            return imputed(config.impute, trial)
        return imputed(config.impute_while_running, trial) if trial.values else None

    return [score(trial) for trial in past]


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.distribution == "categorical":
        return CategoricalDistribution(range(len(parameter.values)))
    return FloatDistribution(0.0, 1.0)


def _from_optuna(parameter: Parameter, proposed: Any) -> Any:
    return parameter.values[proposed] if parameter.distribution == "categorical" else parameter.at(proposed)


def _to_optuna(parameter: Parameter, value: Any) -> float:
    return parameter.index(value) if parameter.distribution == "categorical" else parameter.quantile(value)
