"""`python trials_optuna.py TRIALS SECONDS`: as trials_ours.py, with Optuna's JournalStorage and its random sampler."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback

optuna.logging.set_verbosity(optuna.logging.ERROR)


def work(file: str, count: int, seconds: float, ready: multiprocessing.Barrier) -> None:
    storage = JournalStorage(JournalFileBackend(file))
    study = optuna.load_study(study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler())
    ready.wait()

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        time.sleep(seconds)
        return x

    study.optimize(objective, callbacks=[MaxTrialsCallback(count, states=None)])


def main() -> None:
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "journal"))
        optuna.create_study(study_name="s", storage=JournalStorage(JournalFileBackend(file)))
        ready = multiprocessing.Barrier(3)
        workers = [multiprocessing.Process(target=work, args=(file, count, seconds, ready)) for _ in range(2)]
        for worker in workers:
            worker.start()
        ready.wait()
        begun = time.monotonic()
        for worker in workers:
            worker.join()
        print(time.monotonic() - begun)


if __name__ == "__main__":
    main()
