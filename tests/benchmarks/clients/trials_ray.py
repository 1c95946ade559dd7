"""`python trials_ray.py TRIALS SECONDS` is like trials_ours.py, with Ray Tune and reused actors, without Ray's start.

The settings are those of its documentation for short trials: actors are reused, there is one trial for each core, and
no logger writes files, because the results are read from memory.
https://docs.ray.io/en/latest/tune/api/doc/ray.tune.TuneConfig.html and
https://docs.ray.io/en/latest/tune/api/env.html"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

import ray
from ray import tune


def waits(config: dict) -> dict:
    # Ray runs it in a separate process, whose sys.argv differs.
    time.sleep(config["seconds"])
    return {"a": config["x"]}


def main() -> None:
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            waits,
            param_space={"x": tune.uniform(0, 1), "seconds": seconds},
            tune_config=tune.TuneConfig(num_samples=count, max_concurrent_trials=2, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        begun = time.monotonic()
        found = tuner.fit()
        took = time.monotonic() - begun
    # A trial that raised has no metrics, but is one of `found`.
    told = [[result.config["x"], None if result.error else result.metrics["a"]] for result in found]
    print(json.dumps({"seconds": took, "trials": told}))


if __name__ == "__main__":
    main()
