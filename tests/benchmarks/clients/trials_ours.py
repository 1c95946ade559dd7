"""`python trials_ours.py TRIALS SECONDS`: two workers on one ledger, trials that only wait. Prints the seconds that all
of them took, from when both workers were there."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from sailplane.ledger import Ledger
from sailplane.sweeps import queue
from sailplane.sweeps.space import parse

TEXT = "method: random\nmetric: {{name: a}}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\nrun_cap: {}\n"


def work(url: str, worker: str, seconds: float, ready: multiprocessing.Barrier) -> None:
    ledger = Ledger(url)
    ready.wait()
    while trial := queue.ask(ledger, "s", worker):
        time.sleep(seconds)
        queue.finish(ledger, trial, worker, trial.config["x"])


def main() -> None:
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'ledger.db')}"
        queue.create_sweep(Ledger(url), "s", parse(TEXT.format(count)))
        ready = multiprocessing.Barrier(3)
        given = [(url, f"worker {n}", seconds, ready) for n in range(2)]
        workers = [multiprocessing.Process(target=work, args=one) for one in given]
        for worker in workers:
            worker.start()
        ready.wait()
        begun = time.monotonic()
        for worker in workers:
            worker.join()
        print(time.monotonic() - begun)


if __name__ == "__main__":
    main()
