"""The end of `sailplane rollback` for a model on a cluster: a process that reads Airflow's connections.

python -m sailplane.hooks.rollback PERSON MODEL [VERSION]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane import pairing
from sailplane.errors import SailplaneError, ServiceError
from sailplane.home import Home
from sailplane.hooks.quiet import hush
from sailplane.hooks.serving import serving
from sailplane.ledger import Ledger
from sailplane.serving.rollout import entries
from sailplane.serving.rollout.back import leave_to_driver, place_of, roll_back
from sailplane.serving.rollout.run import Serving


def main(arguments: Sequence[str]) -> int:
    by, name, *to = arguments
    hush()
    try:
        back(pairing.ledger(Home.find()), name, by, to[0] if to else None)
    except SailplaneError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    return 0


def back(ledger: Ledger, name: str, by: str, to: str | None) -> None:
    try:
        there = _serving(ledger, name)
    except SailplaneError as unreachable:
        if entries.active(ledger, name) is None:
            raise
        sys.stdout.write(f"{name}: to go back is left to Airflow's triggerer, because: {unreachable}\n")
        if not leave_to_driver(ledger, name, by) or to is not None:
            raise
        return
    roll_back(there, by, to=to)


def _serving(ledger: Ledger, name: str) -> Serving:
    try:
        return serving(ledger, name, place_of(ledger, name))
    except AirflowNotFoundException as error:
        remedy = "Add it, or run this where Airflow runs, with its settings."
        raise ServiceError("roll back", name, got=error, remedy=remedy) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
