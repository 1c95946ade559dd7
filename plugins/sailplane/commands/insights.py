"""`sailplane insights`: prints the metrics that algorithms reported."""

from __future__ import annotations

import argparse
import json
import sys

from sailplane import pairing
from sailplane.algorithmia.twin.insights import insights
from sailplane.home import Home
from sailplane.services.terminal import print_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--algorithm", metavar="OWNER/NAME", help="only this algorithm's insights")
    parser.set_defaults(command=show)


def show(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: json, algorithm (`owner/name` or None)."""
    found = insights(pairing.ledger(home), algorithm=arguments.algorithm)
    if arguments.json:
        sys.stdout.write(json.dumps([one.content() for one in found], indent=2) + "\n")
        return 0
    rows = [
        (f"{one.time:%Y-%m-%d %H:%M:%S}", one.algorithm or "-", one.user or "-", one.key, json.dumps(one.value))
        for one in found
    ]
    print_columns([("TIME", "ALGORITHM", "USER", "KEY", "VALUE"), *rows])
    return 0
