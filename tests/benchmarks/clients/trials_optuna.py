"""`python trials_optuna.py TRIALS SECONDS` is like trials_ours.py, with Optuna's JournalStorage and its random sampler.

Optuna recommends the journal for several processes on one file, and MaxTrialsCallback bounds their trials together.
https://optuna.readthedocs.io/en/stable/tutorial/10_key_features/004_distributed.html"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from two_workers import seconds

optuna.logging.set_verbosity(optuna.logging.ERROR)


def work(_worker: str, ready: Any, file: str, count: int, wait: float) -> None:
    storage = JournalStorage(JournalFileBackend(file))
    study = optuna.load_study(study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler())
    ready.wait()

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        time.sleep(wait)
        return x

    study.optimize(objective, callbacks=[MaxTrialsCallback(count, states=None)])


def main() -> None:
    count, wait = int(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "journal"))
        optuna.create_study(study_name="s", storage=JournalStorage(JournalFileBackend(file)))
        took = seconds(work, file, count, wait)
        done = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(file))).trials
    told = [[trial.params["x"], trial.value if trial.state == TrialState.COMPLETE else None] for trial in done]
    print(json.dumps({"seconds": took, "trials": told}))


if __name__ == "__main__":
    main()
