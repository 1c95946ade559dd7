"""`sailplane run SERVICE`: becomes one service; called by the supervisor and in containers."""

from __future__ import annotations

import argparse

from sailplane.home import Home
from sailplane.services import launch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service")
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    launch.run(arguments.service, home)
    return 0
