"""Suggests the next trial to a remote worker, in a separate process.

`python -m sailplane.sweep_server.suggest_process SWEEP WORKER SECONDS` prints the trial.
"""

from __future__ import annotations

import json
import subprocess
import sys

from sailplane import pairing
from sailplane.code import with_package
from sailplane.errors import ServiceError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Trial
from sailplane.sweeps import queue, results


def ask(ledger: Ledger, sweep: str, worker: str, lease_seconds: float) -> Trial | None:
    """The next trial for this worker; None if there is none. If the worker already holds a trial, the previous response
    was lost, and it gets that trial again."""
    if (held := results.held_by(ledger, sweep, worker)) is not None:
        return held
    if results.read(ledger, sweep).config.method == "bayes":
        return _ask_in_process(sweep, worker, lease_seconds)
    return queue.ask(ledger, sweep, worker, lease_seconds)


def _ask_in_process(sweep: str, worker: str, lease_seconds: float) -> Trial | None:
    """Suggests in a separate process. A Gaussian process needs torch and takes seconds, which would block the UI's
    server."""
    command = [sys.executable, "-m", "sailplane.sweep_server.suggest_process", sweep, worker, str(lease_seconds)]
    ended = subprocess.run(command, capture_output=True, text=True, env=with_package())
    if ended.returncode:
        raise ServiceError("suggest a trial of", sweep, got=ended.stderr.strip().rpartition("\n")[2])
    found = json.loads(ended.stdout)
    return Trial.from_dict(found) if found else None


def _main(sweep: str, worker: str, seconds: str) -> None:
    trial = queue.ask(pairing.ledger(Home.find()), sweep, worker, float(seconds))
    sys.stdout.write(json.dumps(trial.to_dict() if trial else None))


if __name__ == "__main__":
    _main(*sys.argv[1:])
