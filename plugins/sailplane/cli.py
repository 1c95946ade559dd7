"""`sailplane up | down | status | predict | requests | rollback | models | reproduce | backtest | sweep | twin |
sweep-worker | insights | airflow`, and `run`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

from sailplane.errors import SailplaneError
from sailplane.files import room_for
from sailplane.home import Home, read_settings
from sailplane.storage.access import SETTING as STORE_ACCESS
from sailplane.twins.algorithmia import arguments as algorithmia

# Every command imports its own room when it runs: `sailplane run` must be there in an instant.


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["sweep-worker"]:
        from sailplane.remote.command import main as join

        # On a machine that has no project, or no more than one file of this package.
        return join(argv[1:])
    arguments = _parser().parse_args(argv)
    # Whatever a command, or a service that it becomes, writes is for this user alone.
    os.umask(0o077)
    try:
        read_settings()
        home = Home.find()
        if home.has_s3:
            # What `up` made, for the commands that open the store.
            os.environ.setdefault(STORE_ACCESS, str(home.store_access))
        with room_for(home.root):
            code: int = arguments.command(home, arguments)
    except SailplaneError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("sailplane: interrupted; what was started goes on. `sailplane down` stops it.\n")
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sailplane", description="From raw data to a served model, on Airflow 3.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the services, run the main DAG once, show what came out")
    up.add_argument("--no-run", action="store_true", help="only start the services")
    up.set_defaults(command=_up)
    down = commands.add_parser("down", help="stop what `up` started")
    down.set_defaults(command=_down)
    status = commands.add_parser("status", help="every service and every served model")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.set_defaults(command=_status)
    predict = commands.add_parser("predict", help="ask a served model")
    predict.add_argument("model")
    predict.add_argument("--json", metavar="BODY", help="the request; without it an example from the model's bundle")
    predict.set_defaults(command=_predict)
    _add_requests_arguments(commands.add_parser("requests", help="what the log of a model's requests holds"))
    rollback = commands.add_parser("rollback", help="end a rollout, or serve the version before again")
    rollback.add_argument("model")
    rollback.add_argument("--to", metavar="VERSION", help="or an alias; by default the version before this one")
    rollback.set_defaults(command=_rollback)
    backtest = commands.add_parser("backtest", help="what a DAG's models were worth, day by day, by a backfill")
    _add_backtest_arguments(backtest)
    _add_model_arguments(commands.add_parser("models", help="registered models: list them, show one, collect garbage"))
    reproduce = commands.add_parser("reproduce", help="train a registered model again: does it come out the same?")
    reproduce.add_argument("model", metavar="MODEL[@VERSION|@ALIAS]", help="by default the champion, else the newest")
    reproduce.add_argument("--json", action="store_true", help="as one JSON object")
    reproduce.set_defaults(command=partial(_models, "reproduce"))
    twin = commands.add_parser("twin", help="a local server of a hosted API")
    algorithmia.add_arguments(
        twin.add_subparsers(required=True, metavar="API").add_parser("algorithmia", help="Algorithmia, over the store")
    )
    algorithmia.add_insights_arguments(commands.add_parser("insights", help="what algorithms reported"))
    sweep = commands.add_parser("sweep", help="check a sweep file; look at sweeps, and end them")
    _add_sweep_arguments(sweep)
    commands.add_parser("sweep-worker", help="train trials of a shared sweep, on any machine")
    airflow = commands.add_parser("airflow", help="Airflow's own command, with the services' settings", add_help=False)
    airflow.add_argument("arguments", nargs=argparse.REMAINDER)
    airflow.set_defaults(command=_airflow)
    run = commands.add_parser("run", help="become one service (what the supervisor and the containers call)")
    run.add_argument("service")
    run.set_defaults(command=_run)
    return parser


def _add_backtest_arguments(parser: argparse.ArgumentParser) -> None:
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


def _add_requests_arguments(parser: argparse.ArgumentParser) -> None:
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


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listed = commands.add_parser("list", help="all versions, the newest first")
    show = commands.add_parser("show", help="aliases, metrics, lineage and the card of a version")
    show.add_argument("model")
    show.add_argument("version", nargs="?", help="or an alias; by default the champion, else the newest")
    for command in (listed, show):
        command.add_argument("--json", action="store_true", help="as JSON")
    gc = commands.add_parser("gc", help="delete what nothing references any more")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    gc.add_argument("--keep", type=int, metavar="N", help="of each model the newest N versions stay (5)")
    for name, command in commands.choices.items():
        command.set_defaults(command=partial(_models, name))


def _add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="whether a W&B sweep file is valid, or the line and the reason")
    check.add_argument("file", type=Path)
    commands.add_parser("list", help="all sweeps, the newest first")
    show = commands.add_parser("show", help="the best trials, and which parameters matter")
    show.add_argument("sweep", nargs="?", help="without it the newest one")
    forms = show.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="as one JSON object, with all trials")
    forms.add_argument(
        "--plot", type=Path, nargs="?", const=Path("sweep.html"), metavar="FILE", help="as pictures on an HTML page"
    )
    stop = commands.add_parser("stop", help="give no more trials, and end those that run with what they reached")
    stop.add_argument("sweep")
    for name, told in {
        "restart": "forget its trials, so that its task group begins anew when it is cleared",
        "share": "let workers elsewhere join, with a token; a new token takes the place of the one before",
        "unshare": "revoke its token",
    }.items():
        commands.add_parser(name, help=told).add_argument("sweep")
    for name, command in commands.choices.items():
        command.set_defaults(command=partial(_sweep, name))


def _up(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.up import up

    return up(home, run=not arguments.no_run)


def _down(home: Home, _arguments: argparse.Namespace) -> int:
    from sailplane.services.down import down

    return down(home)


def _status(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.status import show

    return show(home, as_json=arguments.json)


def _predict(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.answer import predict

    return predict(home, arguments.model, arguments.json)


def _requests(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.requests import run

    return run(home, arguments)


def _rollback(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.rollback import run

    return run(home, arguments)


def _backtest(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.backtest import run

    return run(home, arguments)


def _models(name: str, home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.models import COMMANDS

    return COMMANDS[name](home, arguments)


def _sweep(name: str, home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.sweeps import COMMANDS

    return COMMANDS[name](home, arguments)


def _airflow(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.launch import airflow

    airflow(home, arguments.arguments)
    return 0


def _run(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.launch import run

    run(arguments.service, home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
