"""`python trials_ours.py TRIALS SECONDS` runs two workers on one ledger with trials that only wait. Prints the seconds
of all trials, from the moment when both workers are ready, and each trial's `x` and score, which is null if it
failed."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from two_workers import seconds

from sailplane.ledger import Ledger
from sailplane.sweeps import lifecycle, queue, results
from sailplane.sweeps.space import parse

TEXT = "method: random\nmetric: {{name: a}}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\nrun_cap: {}\n"


def work(worker: str, ready: Any, url: str, wait: float) -> None:
    ledger = Ledger.create(url)
    ready.wait()
    while trial := queue.ask(ledger, "s", worker):
        time.sleep(wait)
        queue.finish(ledger, trial, worker, trial.config["x"])


def main() -> None:
    count, wait = int(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'ledger.db')}"
        ledger = Ledger.create(url)
        lifecycle.create(ledger, "s", parse(TEXT.format(count)))
        took = seconds(work, url, wait)
        done = results.trials(ledger, "s")
    print(json.dumps({"seconds": took, "trials": [[trial.config["x"], trial.score] for trial in done]}))


if __name__ == "__main__":
    main()
