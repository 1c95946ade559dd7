"""Past trials in, the next configuration out. Reproducible: equal arguments give equal results."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sailplane.records import Trial
from sailplane.sweeps.space import SweepConfig

# Within these limits a Gaussian process finds better points than TPE, and is fast enough.
GP_DIMENSIONS: Final = 8
GP_TRIALS: Final = 200


def suggest(config: SweepConfig, trials: Sequence[Trial], number: int, seed: int) -> dict[str, Any] | None:
    """The configuration of trial `number`, or None at the end of the grid. Running trials count as pending points."""
    if config.method == "grid":
        return _grid(config, number)
    if config.method == "bayes":
        proposed = _bayes(config, trials, number, seed)
        # A model that is certain of the best point proposes it again, and would learn nothing from the trial.
        return _random(config, number, seed) if any(trial.config == proposed for trial in trials) else proposed
    return _random(config, number, seed)


def _random(config: SweepConfig, number: int, seed: int) -> dict[str, Any]:
    """Each parameter has its own stream of random numbers, so adding a parameter does not change the others."""
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
    # Optuna is slow to import, and only this method needs it.
    from optuna.samplers import GPSampler, TPESampler

    from sailplane.sweeps.optuna_search import Study, free_parameters

    own = random.Random(f"{seed}/{number}").getrandbits(32)  # noqa: S311
    small = free_parameters(config) <= GP_DIMENSIONS and len(trials) <= GP_TRIALS
    sampler = GPSampler(seed=own) if small else TPESampler(seed=own, constant_liar=True)
    return _nested(Study(config, trials, sampler).ask())


def _nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """`{("optimizer", "lr"): 0.1}` -> `{"optimizer": {"lr": 0.1}}`, in JSON types, as the ledger returns it."""
    config: dict[str, Any] = {}
    for path, value in values.items():
        section = config
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = value
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return plain
