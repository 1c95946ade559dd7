"""`python search_ours.py OBJECTIVE WORKERS TRIALS SEED...` prints each seed's regret and number of trials, as a JSON
list."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import yaml
from objectives import OBJECTIVES, sweep_file

from sailplane.records import Trial
from sailplane.sweeps.space import parse
from sailplane.sweeps.suggest import suggest

name, workers, trials, *seeds = sys.argv[1:]
_, function, least = OBJECTIVES[name]
config = parse(yaml.safe_dump(sweep_file(name)))


def search(seed: int) -> dict[str, float]:
    past: list[Trial] = []
    for number in range(int(trials)):
        ended = max(0, number - int(workers) + 1)
        past = [_ended(trial) if trial.number < ended else trial for trial in past]
        chosen = suggest(config, past, number, seed)
        assert chosen is not None
        past.append(Trial(sweep="s", number=number, config=chosen, state="running"))
    return {"regret": min(function(trial.config) for trial in past) - least, "trials": len(past)}


def _ended(trial: Trial) -> Trial:
    return replace(trial, state="finished", score=function(trial.config)) if trial.state == "running" else trial


print(json.dumps([search(int(seed)) for seed in seeds]))
