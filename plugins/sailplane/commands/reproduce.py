"""`sailplane reproduce MODEL`: trains a registered model again, and compares."""

from __future__ import annotations

import argparse
import json
import sys

from sailplane import pairing
from sailplane.home import Home
from sailplane.registry.models import find
from sailplane.training.reproduction import Reproduction, reproduce


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL[@VERSION|@ALIAS]", help="by default the champion, or else the newest")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Returns the exit code: 0 if the result is the same, else 1."""
    model = find(pairing.ledger(home), arguments.model)
    result = reproduce(home, pairing.store(home), model, tell=lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write(json.dumps(result.content(), indent=2) + "\n" if arguments.json else _told(result))
    return 0 if result.agrees else 1


def _told(result: Reproduction) -> str:
    lines = [f"installed: {line}" for line in result.environment]
    lines += [f"- {line}" for line in result.differences]
    measure = "bit for bit" if result.exact else "in its metrics, within tolerance"
    verdict = f"agrees {measure}" if result.agrees else f"does not agree {measure}"
    metrics = ", ".join(f"{name.removeprefix('validation_')} {value:.4f}" for name, value in result.now.items())
    again = f"{result.model} {result.version}, trained again in {result.seconds:.1f} s, {verdict}"
    lines.append(f"{again}: {metrics} on validation {result.validation}")
    return "".join(f"{line}\n" for line in lines)
