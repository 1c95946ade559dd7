"""Runs `sailplane rollback` for a model on a cluster, in a process that reads Airflow's connections.

python -m sailplane.connections.rollback PERSON MODEL [--to VERSION] [--no-hold]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from sailplane import pairing
from sailplane.connections.endpoint import where_it_serves
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.repository import abandoned
from sailplane.deployment.rollout.rollback import leave_to_driver, roll_back
from sailplane.errors import SailplaneError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.storage.http_logging import hush


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    hush()
    try:
        back(pairing.ledger(Home.find()), given.model, given.person, given.to, hold=given.hold)
    except SailplaneError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sailplane rollback")
    parser.add_argument("person")
    parser.add_argument("model")
    parser.add_argument("--to")
    parser.add_argument("--no-hold", dest="hold", action="store_false")
    return parser


def back(ledger: Ledger, name: str, by: str, to: str | None, *, hold: bool = True) -> None:
    try:
        endpoint = where_it_serves(ledger, name, "roll back")
    except SailplaneError as unreachable:
        entry = records.active(ledger, name)
        if entry is None or abandoned(entry, time.time()):
            raise
        driver = "the task that deploys it" if entry.subject.at_once else "Airflow's triggerer"
        sys.stdout.write(f"{name}: {driver} will roll back, because: {unreachable}\n")
        if not leave_to_driver(ledger, name, by, hold=hold) or to is not None:
            raise
        return
    roll_back(endpoint, by, to=to, hold=hold)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
