"""`sailplane up | down | login | status | clean | predict | requests | rollback | deploy | release | rollout | models |
reproduce | backtest | datasets | sweep | twin | sweep-worker | insights | ledger | store | airflow`, and `run`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from sailplane.errors import SailplaneError
from sailplane.files import room_for
from sailplane.home import Home, read_settings
from sailplane.services import arguments as given
from sailplane.services import datasets
from sailplane.services.closed_output import ending_with_the_reader
from sailplane.services.ledger import add_arguments as add_ledger_arguments
from sailplane.services.store import add_arguments as add_store_arguments
from sailplane.storage.access import SETTING as STORE_ACCESS
from sailplane.twins.algorithmia import arguments as algorithmia

# Every command imports its own room when it runs: `sailplane run` must be there in an instant.


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line on stderr."""
    with ending_with_the_reader():
        return _run_command(sys.argv[1:] if argv is None else argv)


def _run_command(argv: Sequence[str]) -> int:
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
    login = commands.add_parser("login", help="print a link that logs a browser in to the UI, once")
    login.add_argument("--user", metavar="NAME", help="an account other than the first admin")
    login.add_argument("--password", action="store_true", help="the account and its password instead of a link")
    login.set_defaults(command=_login)
    status = commands.add_parser("status", help="services, served models, and what needs a person")
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.set_defaults(command=_status)
    clean = commands.add_parser("clean", help="delete logs and records that are older than their retention")
    clean.add_argument("--dry-run", action="store_true", help="only list what would be deleted")
    clean.add_argument("--yes", action="store_true", help="delete without a question")
    clean.set_defaults(command=_clean)
    predict = commands.add_parser("predict", help="ask a served model")
    predict.add_argument("model")
    predict.add_argument("--json", metavar="BODY", help="the request; without it an example from the model's bundle")
    predict.set_defaults(command=_predict)
    given.add_requests_arguments(commands.add_parser("requests", help="what the log of a model's requests holds"))
    rollback = commands.add_parser("rollback", help="end a rollout, or serve an earlier version; holds deployments")
    rollback.add_argument("model")
    rollback.add_argument("--to", metavar="VERSION", help="or an alias; by default the version before this one")
    rollback.add_argument(
        "--no-hold", dest="hold", action="store_false", help="let the next run that passes deploy its model again"
    )
    rollback.set_defaults(command=_rollback)
    given.add_deploy_arguments(commands.add_parser("deploy", help="serve the baseline that a verdict offers"))
    release = commands.add_parser("release", help="lift the hold of a rollback: runs may deploy the model again")
    release.add_argument("model")
    release.set_defaults(command=_release)
    given.add_rollout_arguments(
        commands.add_parser("rollout", help="show the decisions of a rollout, with their figures")
    )
    backtest = commands.add_parser("backtest", help="what a DAG's models were worth, day by day, by a backfill")
    given.add_backtest_arguments(backtest)
    given.add_model_arguments(
        commands.add_parser("models", help="registered models: list them, show one, collect garbage")
    )
    reproduce = commands.add_parser("reproduce", help="train a registered model again: does it come out the same?")
    given.add_reproduce_arguments(reproduce)
    twin = commands.add_parser("twin", help="a local server of a hosted API")
    algorithmia.add_arguments(
        twin.add_subparsers(required=True, metavar="API").add_parser("algorithmia", help="Algorithmia, over the store")
    )
    algorithmia.add_insights_arguments(commands.add_parser("insights", help="what algorithms reported"))
    datasets.add_arguments(
        commands.add_parser("datasets", help="list them, show one, compare versions, read days again")
    )
    sweep = commands.add_parser("sweep", help="check a sweep file; look at sweeps, and end them")
    given.add_sweep_arguments(sweep)
    commands.add_parser("sweep-worker", help="train trials of a shared sweep, on any machine")
    add_ledger_arguments(commands.add_parser("ledger", help="the platform's own database: back it up, check, rebuild"))
    add_store_arguments(commands.add_parser("store", help="move it to another place"))
    airflow = commands.add_parser("airflow", help="Airflow's own command, with the services' settings", add_help=False)
    airflow.add_argument("arguments", nargs=argparse.REMAINDER)
    airflow.set_defaults(command=_airflow)
    run = commands.add_parser("run", help="become one service (what the supervisor and the containers call)")
    run.add_argument("service")
    run.set_defaults(command=_run)
    return parser


def _up(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.up import up

    return up(home, run=not arguments.no_run)


def _down(home: Home, _arguments: argparse.Namespace) -> int:
    from sailplane.services.down import down

    return down(home)


def _login(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.login import run

    return run(home, arguments)


def _status(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.status import show

    return show(home, as_json=arguments.json)


def _clean(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.clean import run

    return run(home, arguments)


def _predict(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.answer import predict

    return predict(home, arguments.model, arguments.json)


def _rollback(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.rollback import run

    return run(home, arguments)


def _release(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.rollback import release

    return release(home, arguments)


def _airflow(home: Home, arguments: argparse.Namespace) -> int:
    if arguments.arguments[:2] == ["backfill", "create"]:
        from sailplane.services.backfill import create

        return create(home, arguments.arguments)
    from sailplane.services.launch import airflow

    airflow(home, arguments.arguments)
    return 0


def _run(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.launch import run

    run(arguments.service, home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
