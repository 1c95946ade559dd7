"""`sailplane twin algorithmia`: serves Algorithmia's API over the store; its API keys and algorithms."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Final

from sailplane import pairing
from sailplane.algorithmia.twin import api_keys
from sailplane.algorithmia.twin.algorithms import Algorithms
from sailplane.algorithmia.twin.organizations import Organizations
from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.services.terminal import print_columns

HOST: Final = "127.0.0.1"
PORT: Final = 9010


def add_arguments(parser: argparse.ArgumentParser) -> None:
    apis = parser.add_subparsers(required=True, metavar="API")
    _add_algorithmia(apis.add_parser("algorithmia", help="serve Algorithmia's API over the store"))


def _add_algorithmia(parser: argparse.ArgumentParser) -> None:
    """Without a further command, it serves the API."""
    parser.add_argument("--host", default=HOST, help=f"the address to listen on (default: {HOST})")
    parser.add_argument("--port", type=_port, default=PORT, help=f"the port to listen on (default: {PORT})")
    parser.set_defaults(command=serve)
    commands = parser.add_subparsers(metavar="COMMAND")
    key = commands.add_parser("key", help="API keys").add_subparsers(required=True, metavar="COMMAND")
    add = key.add_parser("add", help="create an API key for a user, and print it")
    add.add_argument("user")
    add.add_argument("--stdin", action="store_true", help="read the key, such as an old one, from standard input")
    add.set_defaults(command=add_key)
    listed = key.add_parser("list", help="list the valid keys, without their secrets")
    listed.set_defaults(command=list_keys)
    revoke = key.add_parser("revoke", help="revoke a key")
    revoke.add_argument("id")
    revoke.set_defaults(command=revoke_key)
    algorithm = commands.add_parser("algorithm", help="set an algorithm's code: a Python file with apply(input)")
    algorithm.add_argument("name", metavar="OWNER/NAME")
    algorithm.add_argument("file", metavar="FILE")
    algorithm.set_defaults(command=put_algorithm)


def serve(home: Home, arguments: argparse.Namespace) -> int:
    """`arguments`: host, port."""
    from sailplane.algorithmia.twin import app
    from sailplane.algorithmia.twin.twin import Twin

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    app.serve(Twin(home), arguments.host, arguments.port)
    return 0


def add_key(home: Home, arguments: argparse.Namespace) -> int:
    """Creates a key and prints its secret, which is not shown again. `arguments`: user, and stdin, which says whether
    to read the secret from standard input."""
    if Organizations(pairing.store(home)).members(arguments.user):
        raise ConfigurationError("add an API key for", arguments.user, got="an organization", expected="a user")
    given = sys.stdin.readline().strip() if arguments.stdin else None
    if given == "":
        raise ConfigurationError("add an API key for", arguments.user, got="nothing on standard input")
    key, secret = api_keys.add(pairing.ledger(home), arguments.user, given)
    sys.stderr.write(f"API key {key.id} of {key.user}. It is shown only once:\n")
    sys.stdout.write(f"{secret}\n")
    return 0


def list_keys(home: Home, _arguments: argparse.Namespace) -> int:
    rows = [
        (key.id, key.user, f"...{key.hint}", f"{key.created:%Y-%m-%d %H:%M}")
        for key in api_keys.listed(pairing.ledger(home))
    ]
    print_columns([("ID", "USER", "KEY", "CREATED"), *rows])
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


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a port from 1 to 65535")
    return int(text)
