"""`python search_optuna.py OBJECTIVE WORKERS TRIALS SEED...` runs Optuna's TPE, with distributions as its users write
them. Prints each seed's regret and number of trials, as a JSON list.

Optuna recommends `constant_liar` for several workers; everything else is its default.
https://optuna.readthedocs.io/en/stable/reference/samplers/generated/optuna.samplers.TPESampler.html"""

from __future__ import annotations

import json
import sys

import optuna
from objectives import OBJECTIVES

name, workers, trials, *seeds = sys.argv[1:]
space, function, least = OBJECTIVES[name]
optuna.logging.set_verbosity(optuna.logging.ERROR)


def distribution(about: dict) -> optuna.distributions.BaseDistribution:
    if "values" in about:
        return optuna.distributions.CategoricalDistribution(about["values"])
    if about["distribution"] == "int_uniform":
        return optuna.distributions.IntDistribution(about["min"], about["max"])
    log = about["distribution"] == "log_uniform_values"
    return optuna.distributions.FloatDistribution(about["min"], about["max"], log=log)


def search(seed: int) -> dict[str, float]:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=int(workers) > 1))
    running: list[optuna.Trial] = []
    while len(study.trials) < int(trials) or running:
        if len(study.trials) < int(trials):
            running.append(study.ask({key: distribution(about) for key, about in space.items()}))
        if len(running) == int(workers) or len(study.trials) == int(trials):
            ended = running.pop(0)
            study.tell(ended, function(ended.params))
    ended = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    return {"regret": study.best_value - least, "trials": len(ended)}


print(json.dumps([search(int(seed)) for seed in seeds]))
