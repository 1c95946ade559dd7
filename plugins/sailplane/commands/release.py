"""`sailplane release MODEL`: lifts the hold of a rollback."""

from __future__ import annotations

import argparse
import sys

from sailplane import pairing
from sailplane.home import Home
from sailplane.registry import holds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.set_defaults(command=release)


def release(home: Home, arguments: argparse.Namespace) -> int:
    """Raises ModelError if the model is not held or not registered."""
    hold = holds.release(pairing.ledger(home), arguments.model)
    sys.stdout.write(f"{hold.name}: runs may deploy it again. It was {hold}.\n")
    return 0
