"""`sailplane insights`: prints the metrics that algorithms reported."""

from __future__ import annotations

import argparse
import json
import sys

from sailplane import pairing
from sailplane.algorithmia.twin.insights import Insight, insights
from sailplane.home import Home
from sailplane.services.terminal import print_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--algorithm", metavar="OWNER/NAME", help="only this algorithm's insights")
    parser.set_defaults(command=show)


def show(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: json, algorithm (`owner/name` or None)."""
    recorded = insights(pairing.ledger(home), algorithm=arguments.algorithm)
    if arguments.json:
        sys.stdout.write(json.dumps([insight.content() for insight in recorded], indent=2) + "\n")
        return 0
    print_columns([("TIME", "ALGORITHM", "USER", "KEY", "VALUE"), *map(_row, recorded)])
    return 0


def _row(insight: Insight) -> tuple[str, str, str, str, str]:
    time, value = f"{insight.time:%Y-%m-%d %H:%M:%S}", json.dumps(insight.value)
    return time, insight.algorithm or "-", insight.user or "-", insight.key, value
