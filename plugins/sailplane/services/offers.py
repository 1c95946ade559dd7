"""`sailplane deploy MODEL [--run RUN]`: serves the baseline that a verdict offers."""

from __future__ import annotations

import argparse

from sailplane import pairing
from sailplane.home import Home
from sailplane.services.launch import become_airflows
from sailplane.services.rollback import person
from sailplane.serving.rollout.back import place_of
from sailplane.serving.rollout.offered import deploy, tell
from sailplane.serving.rollout.run import Serving


def run(home: Home, arguments: argparse.Namespace) -> int:
    ledger, name = pairing.ledger(home), arguments.model
    if place_of(ledger, name) is not None:
        options = [] if arguments.run is None else ["--run", arguments.run]
        become_airflows(home, "sailplane.hooks.offered", [person(), name, *options])
    storage = pairing.store(home)
    tell(deploy(Serving.local(home, ledger, storage, name), storage, person(), arguments.run))
    return 0
