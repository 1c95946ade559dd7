"""`python trials_ray.py TRIALS SECONDS`: as trials_ours.py, with Ray Tune, its actors kept; without its start."""

from __future__ import annotations

import sys
import tempfile
import time

import ray
from ray import tune


def waits(config: dict) -> dict:
    time.sleep(float(sys.argv[2]))
    return {"a": config["x"]}


def main() -> None:
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            waits,
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=int(sys.argv[1]), max_concurrent_trials=2, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        begun = time.monotonic()
        found = tuner.fit()
        seconds = time.monotonic() - begun
        assert len(found) == int(sys.argv[1])
    print(seconds)


if __name__ == "__main__":
    main()
