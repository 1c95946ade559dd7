"""Past trials in, the next configuration out. Pure, and repeatable to the bit: equal arguments, equal answers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sailplane.records import Trial
from sailplane.sweeps.parameters import Parameter
from sailplane.sweeps.space import SweepConfig

if TYPE_CHECKING:
    import optuna


def suggest(config: SweepConfig, trials: Sequence[Trial], number: int, seed: int) -> dict[str, Any] | None:
    """The configuration of trial `number`, or None where the grid ends. Running trials count as pending points."""
    if config.method == "grid":
        return _grid(config, number)
    if config.method == "bayes":
        return _bayes(config, trials, number, seed)
    # A stream for each parameter: to add one to the file does not change the others.
    return _nested({p.path: p.at(random.Random(f"{seed}/{number}/{p.name}").random()) for p in config.parameters})  # noqa: S311


def _grid(config: SweepConfig, number: int) -> dict[str, Any] | None:
    """Counts like itertools.product: the last parameter changes fastest."""
    chosen: dict[tuple[str, ...], Any] = {}
    rest = number
    for parameter in reversed(config.parameters):
        values = parameter.grid() or ()
        rest, index = divmod(rest, len(values))
        chosen[parameter.path] = values[index]
    return None if rest else _nested(chosen)


def _bayes(config: SweepConfig, trials: Sequence[Trial], number: int, seed: int) -> dict[str, Any]:
    """Optuna's TPE on quantiles, so that each distribution of the file is the prior."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    free = [p for p in config.parameters if p.distribution != "constant"]
    space = {p.name: _distribution(p) for p in free}
    study = optuna.create_study(direction=config.goal, sampler=_sampler(seed, number))
    study.add_trials([_past(trial, free, space) for trial in sorted(trials, key=lambda trial: trial.number)])
    asked = study.ask(space)
    fixed = {p.path: p.values[0] for p in config.parameters if p.distribution == "constant"}
    return _nested(fixed | {p.path: _value(p, asked.params[p.name]) for p in free})


def _sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=random.Random(f"{seed}/{number}").getrandbits(32), constant_liar=True)  # noqa: S311


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if parameter.distribution == "categorical":
        return CategoricalDistribution(range(len(parameter.values)))
    return FloatDistribution(0.0, 1.0)


def _past(
    trial: Trial, parameters: Sequence[Parameter], space: Mapping[str, optuna.distributions.BaseDistribution]
) -> optuna.trial.FrozenTrial:
    import optuna

    params = {p.name: _asked(p, _at(trial.config, p.path)) for p in parameters}
    states = {"finished": optuna.trial.TrialState.COMPLETE, "running": optuna.trial.TrialState.RUNNING}
    state = states.get(trial.state, optuna.trial.TrialState.FAIL)
    score = trial.score if trial.state == "finished" else None
    if score is not None and not math.isfinite(score):
        state, score = optuna.trial.TrialState.FAIL, None
    return optuna.trial.create_trial(params=params, distributions=dict(space), value=score, state=state)


def _value(parameter: Parameter, asked: Any) -> Any:
    return parameter.values[asked] if parameter.distribution == "categorical" else parameter.at(asked)


def _asked(parameter: Parameter, value: Any) -> float:
    return parameter.index(value) if parameter.distribution == "categorical" else parameter.quantile(value)


def _at(config: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = config
    for key in path:
        value = value[key]
    return value


def _nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """`{("optimizer", "lr"): 0.1}` -> `{"optimizer": {"lr": 0.1}}`, in JSON's types, as the ledger gives it back."""
    config: dict[str, Any] = {}
    for path, value in values.items():
        place = config
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return plain
