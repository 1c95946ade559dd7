"""`sailplane store move URI`."""

from __future__ import annotations

import argparse

from sailplane.home import Home


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    moving = commands.add_parser("move", help="copy the store to another location, verify the copy, and use it")
    moving.add_argument("uri", metavar="URI", help="like SAILPLANE_STORE: file:///folder, s3://bucket/prefix, ...")
    moving.set_defaults(command=_move)


def _move(home: Home, arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from sailplane.services.moving import move

    move(home, arguments.uri, Console(highlight=False, soft_wrap=True))
    return 0
