"""`sailplane rollback MODEL [--to VERSION]`: ends a rollout that is on its way, or goes back to the version before."""

from __future__ import annotations

import argparse
import getpass
import socket

from sailplane import pairing
from sailplane.home import Home
from sailplane.services.launch import become_airflows
from sailplane.serving.rollout.back import place_of, roll_back
from sailplane.serving.rollout.run import Serving


def run(home: Home, arguments: argparse.Namespace) -> int:
    ledger, name = pairing.ledger(home), arguments.model
    if place_of(ledger, name) is not None:
        to = [] if arguments.to is None else [arguments.to]
        become_airflows(home, "sailplane.hooks.rollback", [person(), name, *to])
    roll_back(Serving.local(home, ledger, pairing.store(home), name), person(), to=arguments.to)
    return 0


def person() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
