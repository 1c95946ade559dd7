"""The command line of `sailplane twin algorithmia`. Nothing else is imported before a command runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from sailplane.home import Home

HOST: Final = "127.0.0.1"
PORT: Final = 9010
Command = Callable[[Home, argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Without a further command it serves."""
    parser.add_argument("--host", default=HOST, help=f"the address to listen on (default: {HOST})")
    parser.add_argument("--port", type=_port, default=PORT, help=f"the port to listen on (default: {PORT})")
    parser.set_defaults(command=_command("serve"))
    commands = parser.add_subparsers(metavar="COMMAND")
    key = commands.add_parser("key", help="API keys").add_subparsers(required=True, metavar="COMMAND")
    add = key.add_parser("add", help="give a user an API key, and print it")
    add.add_argument("user")
    add.add_argument("--stdin", action="store_true", help="take the key on standard input, an old one for example")
    add.set_defaults(command=_command("add_key"))
    listed = key.add_parser("list", help="the valid keys, without their secrets")
    listed.set_defaults(command=_command("list_keys"))
    revoke = key.add_parser("revoke", help="make a key invalid")
    revoke.add_argument("id")
    revoke.set_defaults(command=_command("revoke_key"))
    algorithm = commands.add_parser("algorithm", help="what an algorithm does: a Python file with apply(input)")
    algorithm.add_argument("name", metavar="OWNER/NAME")
    algorithm.add_argument("file", metavar="FILE")
    algorithm.set_defaults(command=_command("put_algorithm"))


def add_insights_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sailplane insights`."""
    parser.add_argument("--json", action="store_true", help="as one JSON list")
    parser.add_argument("--algorithm", metavar="OWNER/NAME", help="only what this algorithm reported")
    parser.set_defaults(command=_command("show_insights"))


def _command(name: str) -> Command:
    def run(home: Home, arguments: argparse.Namespace) -> int:
        from sailplane.twins.algorithmia import commands

        command: Command = getattr(commands, name)
        return command(home, arguments)

    return run


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a port from 1 to 65535")
    return int(text)
