"""The arguments of commands whose rooms import much: `--help` and every service must be there in an instant."""

from __future__ import annotations

import argparse
from datetime import date
from functools import partial
from pathlib import Path

from sailplane.home import Home

_WHICH = "its name, or a DAG or a model that has only one"


def add_backtest_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dag", help="one with a schedule")
    parser.add_argument(
        "--from", dest="first", required=True, metavar="DAY", help="the first interval's, as 2026-10-01"
    )
    parser.add_argument("--to", dest="last", required=True, metavar="DAY", help="the last one's")
    parser.add_argument("--no-run", action="store_true", help="only show what earlier runs of these days gave")
    parser.add_argument("--again", action="store_true", help="also repeat runs that went well")
    parser.add_argument("--max-active", type=int, default=2, metavar="N", help="how many runs at a time (2)")
    parser.add_argument("--model", help="which one, if the DAG judges several")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also as curves on an HTML page")
    parser.set_defaults(command=_backtest)


def add_requests_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--version", help="of this one alone")
    for name, target, told in (("--from", "first", "the first, as 2026-10-01"), ("--to", "last", "the last one")):
        parser.add_argument(name, dest=target, type=date.fromisoformat, metavar="DAY", help=f"{told}, in UTC")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="Parquet or CSV with id and truth, to join by the id"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the rows to this Parquet file")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(command=_requests)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listed = commands.add_parser("list", help="all versions, the newest first")
    show = commands.add_parser("show", help="aliases, metrics, lineage and the card of a version")
    show.add_argument("model")
    show.add_argument("version", nargs="?", help="or an alias; by default the champion, else the newest")
    for command in (listed, show):
        command.add_argument("--json", action="store_true", help="as JSON")
    gc = commands.add_parser("gc", help="move what nothing references any more to the trash")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    gc.add_argument("--keep", type=int, metavar="N", help="of each model the newest N versions stay (5)")
    gc.add_argument("--yes", action="store_true", help="do not ask")
    back = commands.add_parser("restore", help="put back what was moved to the trash within a week")
    back.add_argument("path", help="of an object or a folder in the store, as `gc` prints it")
    for name, command in commands.choices.items():
        command.set_defaults(command=partial(_models, name))


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="whether a W&B sweep file is valid, or the line and the reason")
    check.add_argument("file", type=Path)
    commands.add_parser("list", help="all sweeps, the newest first")
    show = commands.add_parser("show", help="the best trials, and which parameters matter")
    show.add_argument("sweep", nargs="?", help="or a DAG or a model: its newest one; without it the newest of all")
    forms = show.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="as one JSON object, with all trials")
    forms.add_argument("--plot", type=Path, nargs="?", const=Path(), metavar="FILE", help="as pictures on an HTML page")
    stop = commands.add_parser("stop", help="give no more trials, and end those that run with what they reached")
    stop.add_argument("sweep", help=_WHICH)
    for name, told in {
        "restart": "forget its trials, so that its task group begins anew when it is cleared",
        "share": "let workers elsewhere join, with a token; a new token takes the place of the one before",
        "unshare": "revoke its token",
    }.items():
        commands.add_parser(name, help=told).add_argument("sweep", help=_WHICH)
    for name, command in commands.choices.items():
        command.set_defaults(command=partial(_sweep, name))


def add_rollout_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("show", help="every decision of a model's newest rollout, with its figures")
    show.add_argument("model")
    show.add_argument("--version", help="the rollout of this version")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    show.set_defaults(command=_rollout)


def add_deploy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--run", metavar="RUN", help="the DAG run that offers it; by default the newest verdict's")
    parser.set_defaults(command=_deploy)


def add_reproduce_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL[@VERSION|@ALIAS]", help="by default the champion, else the newest")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(command=partial(_models, "reproduce"))


def _requests(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.requests import run

    return run(home, arguments)


def _backtest(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.backtest import run

    return run(home, arguments)


def _rollout(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.rollouts import show

    return show(home, arguments)


def _deploy(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.offers import run

    return run(home, arguments)


def _models(name: str, home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.models import COMMANDS

    return COMMANDS[name](home, arguments)


def _sweep(name: str, home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.sweeps import COMMANDS

    return COMMANDS[name](home, arguments)
