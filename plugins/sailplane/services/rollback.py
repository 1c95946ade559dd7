"""`sailplane rollback MODEL [--to VERSION] [--no-hold]`: ends a rollout that is on its way, or goes back to the version
before. `sailplane release MODEL`: tasks may deploy it again."""

from __future__ import annotations

import argparse
import getpass
import socket
import sys

from sailplane import pairing
from sailplane.home import Home
from sailplane.registry import holds
from sailplane.services.launch import become_airflows
from sailplane.serving.rollout.back import place_of, roll_back
from sailplane.serving.rollout.run import Serving


def run(home: Home, arguments: argparse.Namespace) -> int:
    ledger, name = pairing.ledger(home), arguments.model
    if place_of(ledger, name) is not None:
        options = [] if arguments.to is None else ["--to", arguments.to]
        options += [] if arguments.hold else ["--no-hold"]
        become_airflows(home, "sailplane.hooks.rollback", [person(), name, *options])
    local = Serving.local(home, ledger, pairing.store(home), name)
    roll_back(local, person(), to=arguments.to, hold=arguments.hold)
    return 0


def release(home: Home, arguments: argparse.Namespace) -> int:
    """Raises ModelError for a model that is not held, or not registered."""
    hold = holds.release(pairing.ledger(home), arguments.model)
    sys.stdout.write(f"{hold.name}: runs may deploy it again. It had been {hold}.\n")
    return 0


def person() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
