"""W&B's own engine: `python oracle.py` reads a JSON list of `[what, ...]` from stdin, and writes a JSON list of answers
to stdout. It runs in a separate environment and imports nothing of ours."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import numpy as np
import sweeps
from sweeps.config import schema_violations_from_proposed_config
from sweeps.hyperband_stopping import hyperband_stop_runs
from sweeps.params import HyperParameter


def quantiles(parameter: dict[str, Any], at: list[float]) -> list[Any]:
    """Returns the parameter's values at these quantiles."""
    known = HyperParameter("x", parameter)
    return [_plain(known.ppf(quantile)) for quantile in at]


def samples(config: dict[str, Any], count: int, seed: int) -> list[Any]:
    """Returns the values that random search draws for the parameter `x`."""
    random.seed(seed)
    np.random.seed(seed)
    runs = (sweeps.next_run(config, []) for _ in range(count))
    return [_plain(run.config["x"]["value"]) for run in runs]


def grid(config: dict[str, Any]) -> list[Any]:
    """Returns all configurations, in order."""
    runs: list[Any] = []
    while (found := sweeps.next_run(config, runs)) is not None:
        runs.append(found)
    return [{name: _plain(value["value"]) for name, value in run.config.items()} for run in runs]


def stopped(config: dict[str, Any], runs: list[dict[str, Any]]) -> list[str]:
    """Returns the names of the runs that hyperband stops."""
    found = hyperband_stop_runs([sweeps.SweepRun(**run) for run in runs], config)
    return sorted(run.name for run in found)


def violations(config: dict[str, Any]) -> list[str]:
    """Returns the errors of a file, without the advice to use other distributions."""
    found = schema_violations_from_proposed_config(config)
    return [one for one in found if "base-e exponents" not in one]


def takes(config: dict[str, Any]) -> bool:
    """Whether W&B's schema accepts the file and its engine can run it with configurations that JSON can hold."""
    try:
        if violations(config):
            return False
        # Adds a metric and random search, without which W&B would refuse the file only when it runs. Our files always
        # have both.
        method = "grid" if config["method"] == "grid" else "random"
        runs = {"metric": {"name": "loss"}, **config, "method": method}
        drawn = sweeps.next_run(runs, [])
        json.dumps([_plain(value["value"]) for value in drawn.config.values()], allow_nan=False)
        if "early_terminate" in config:
            sweeps.stop_runs(runs, [])
    except Exception:
        # Whatever the error, W&B does not run the file.
        return False
    return True


def _plain(value: Any) -> Any:
    value = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    return value[0] if isinstance(value, list) and len(value) == 1 else value


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump([globals()[what](*given) for what, *given in asked], sys.stdout)
