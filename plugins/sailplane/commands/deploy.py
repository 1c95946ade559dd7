"""`sailplane deploy MODEL [--run RUN]`: serves the baseline that a verdict offers."""

from __future__ import annotations

import argparse

from sailplane import pairing
from sailplane.commands.rollback import person
from sailplane.deployment.rollout.offered import deploy, tell
from sailplane.deployment.rollout.rollback import place_of
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.home import Home
from sailplane.services.launch import become_airflows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--run", metavar="RUN", help="the DAG run that offers it; by default the newest verdict's")
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    ledger, name = pairing.ledger(home), arguments.model
    if place_of(ledger, name) is not None:
        options = [] if arguments.run is None else ["--run", arguments.run]
        become_airflows(home, "sailplane.connections.deploy", [person(), name, *options])
    storage = pairing.store(home)
    tell(deploy(ModelEndpoint.local(home, ledger, storage, name), storage, person(), arguments.run))
    return 0
