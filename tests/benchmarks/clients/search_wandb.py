"""`python search_wandb.py OBJECTIVE WORKERS TRIALS SEED...`: W&B's own bayes, in an environment of its own. Prints the
regret of each seed and how many trials it took, as a JSON list. It has no settings besides the sweep file.
https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

from __future__ import annotations

import json
import random
import sys
import warnings

import numpy as np
import sweeps
from objectives import OBJECTIVES, sweep_file

warnings.filterwarnings("ignore")
name, workers, trials, *seeds = sys.argv[1:]
_, function, least = OBJECTIVES[name]


def search(seed: int) -> dict[str, float]:
    random.seed(seed)
    np.random.seed(seed)
    runs: list[sweeps.SweepRun] = []
    best = float("inf")
    for number in range(int(trials)):
        # When all workers are busy, the oldest running trial ends.
        for run in runs[: max(0, number - int(workers) + 1)]:
            if run.state == "running":
                loss = function({key: value["value"] for key, value in run.config.items()})
                run.state, run.summary_metrics, run.history = "finished", {"loss": loss}, [{"loss": loss}]
        found = sweeps.next_run(sweep_file(name), runs)
        found.state = "running"
        runs.append(found)
        best = min(best, function({key: value["value"] for key, value in found.config.items()}))
    return {"regret": best - least, "trials": len(runs)}


print(json.dumps([search(int(seed)) for seed in seeds]))
