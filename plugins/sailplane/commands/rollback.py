"""`sailplane rollback MODEL [--to VERSION] [--no-hold]`: ends an active rollout, or serves an earlier version."""

from __future__ import annotations

import argparse
import getpass
import socket
from functools import partial
from typing import NoReturn

from sailplane import pairing
from sailplane.deployment.endpoints import endpoint_of, location_of
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.home import Home
from sailplane.services.launch import become_airflow_module


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--to", metavar="VERSION", help="a version or an alias; by default the previous version")
    parser.add_argument(
        "--no-hold", dest="hold", action="store_false", help="let the next passing run deploy its model again"
    )
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    ledger, name, store = pairing.ledger(home), arguments.model, partial(pairing.store, home)

    def reach(_location: ClusterLocation) -> NoReturn:
        options = [] if arguments.to is None else ["--to", arguments.to]
        options += [] if arguments.hold else ["--no-hold"]
        become_airflow_module(home, "sailplane.connections.rollback", [person(), name, *options])

    location = location_of(ledger, name)
    endpoint = endpoint_of(name, location, home=home, ledger=ledger, storage=store, reach=reach)
    roll_back(endpoint, person(), to=arguments.to, hold=arguments.hold)
    return 0


def person() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
