"""What the command line does with the Algorithmia twin: a function a command, (home, arguments) -> exit code."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from sailplane import pairing
from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.twins.algorithmia import api_keys
from sailplane.twins.algorithmia import insights as reported
from sailplane.twins.algorithmia.algorithms import Algorithms
from sailplane.twins.algorithmia.organizations import Organizations


def serve(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: host, port."""
    from sailplane.twins.algorithmia import app
    from sailplane.twins.algorithmia.twin import Twin

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    app.serve(Twin(home), arguments.host, arguments.port)
    return 0


def add_key(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: user, and stdin: whether the secret is one that is read from there. Prints the secret, this once."""
    if Organizations(pairing.store(home)).members(arguments.user):
        raise ConfigurationError("add an API key for", arguments.user, got="an organization", expected="a user")
    given = sys.stdin.readline().strip() if arguments.stdin else None
    if given == "":
        raise ConfigurationError("add an API key for", arguments.user, got="nothing on standard input")
    key, secret = api_keys.add(pairing.ledger(home), arguments.user, given)
    sys.stderr.write(f"API key {key.id} of {key.user}. It is shown only now:\n")
    sys.stdout.write(f"{secret}\n")
    return 0


def list_keys(home: Home, _arguments: argparse.Namespace) -> int:
    rows = [
        (key.id, key.user, f"...{key.hint}", f"{key.created:%Y-%m-%d %H:%M}")
        for key in api_keys.listed(pairing.ledger(home))
    ]
    _print_columns([("ID", "USER", "KEY", "CREATED"), *rows])
    return 0


def revoke_key(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: id."""
    key = api_keys.revoke(pairing.ledger(home), arguments.id)
    sys.stdout.write(f"API key {key.id} of {key.user} is no longer valid.\n")
    return 0


def put_algorithm(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: name (`owner/name`), and file, a Python file that defines `apply(input)`."""
    owner, _, name = arguments.name.partition("/")
    try:
        source = Path(arguments.file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("read", arguments.file, got=error, expected="a Python file") from error
    record = Algorithms(pairing.store(home)).put_source(owner, name, source)
    build = record["builds"][-1]
    sys.stdout.write(f"{owner}/{name}/{build['commit_sha']}: {build['status']}. {build['logs']}\n")
    return 0 if build["status"] == "succeeded" else 1


def show_insights(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: json, algorithm (`owner/name` or None)."""
    found = reported.insights(pairing.ledger(home), algorithm=arguments.algorithm)
    if arguments.json:
        sys.stdout.write(json.dumps([one.content() for one in found], indent=2) + "\n")
        return 0
    rows = [
        (f"{one.time:%Y-%m-%d %H:%M:%S}", one.algorithm or "-", one.user or "-", one.key, json.dumps(one.value))
        for one in found
    ]
    _print_columns([("TIME", "ALGORITHM", "USER", "KEY", "VALUE"), *rows])
    return 0


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
