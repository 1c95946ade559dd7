"""`sailplane deploy MODEL [--run RUN]`: serves the baseline that a verdict offers."""

from __future__ import annotations

import argparse
from functools import partial
from typing import NoReturn

from sailplane import pairing
from sailplane.commands.rollback import person
from sailplane.deployment.endpoints import endpoint_of, location_of
from sailplane.deployment.kubernetes.location import ClusterLocation
from sailplane.deployment.rollout.offered import deploy, tell
from sailplane.home import Home
from sailplane.services.launch import become_airflow_module


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--run", metavar="RUN", help="the DAG run whose verdict offers it; by default the newest")
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    ledger, name, store = pairing.ledger(home), arguments.model, partial(pairing.store, home)

    def reach(_location: ClusterLocation) -> NoReturn:
        options = [] if arguments.run is None else ["--run", arguments.run]
        become_airflow_module(home, "sailplane.connections.deploy", [person(), name, *options])

    location = location_of(ledger, name)
    endpoint = endpoint_of(name, location, home=home, ledger=ledger, storage=store, reach=reach)
    tell(deploy(endpoint, store(), person(), arguments.run))
    return 0
