"""`sailplane COMMAND`: the commands, each in commands/<name>.py."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from sailplane.errors import SailplaneError
from sailplane.files import room_for
from sailplane.home import Home, read_settings
from sailplane.services.closed_output import ending_with_reader
from sailplane.storage.access import SETTING as STORE_ACCESS

COMMANDS: Final = {
    "up": "start the services, run the main DAG once, and show its results",
    "down": "stop everything that `up` started",
    "new": "write a new project: data, features, model, sweep, DAG and test",
    "login": "print a one-time link that logs a browser in to the UI",
    "status": "show services, served models, and whatever needs attention",
    "clean": "delete logs and records that are older than their retention",
    "predict": "request a prediction from a served model",
    "requests": "count or export the logged requests of a model",
    "rollback": "end a rollout, or serve an earlier version; hold deployments",
    "deploy": "serve the baseline that a verdict offers",
    "release": "lift the hold of a rollback, so that runs may deploy the model again",
    "rollout": "show the decisions of a rollout, with their figures",
    "backtest": "score a DAG's models day by day with a backfill",
    "models": "list or show registered models, collect garbage",
    "reproduce": "train a registered model again, and compare the results",
    "twin": "serve a hosted API locally",
    "insights": "show the metrics that algorithms reported",
    "datasets": "list or show datasets, compare versions, ingest days again",
    "sweep": "check a sweep file; list, show or stop sweeps",
    "sweep-worker": "train trials of a shared sweep on any machine",
    "ledger": "back up, check or rebuild the platform's database",
    "store": "move the store to another location",
    "airflow": "run Airflow's own command with the services' settings",
    "run": "become one service (called by the supervisor and in containers)",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line on stderr."""
    with ending_with_reader():
        return _run_command(sys.argv[1:] if argv is None else argv)


def _run_command(argv: Sequence[str]) -> int:
    if argv[:1] == ["sweep-worker"]:
        from sailplane.sweep_worker.command import main as join

        # This command also runs on machines without a project, or with a single file of this package.
        return join(argv[1:])
    if argv[:1] == ["airflow"]:
        # Airflow gets all other arguments, including `--help`, which argparse would handle itself.
        arguments = argparse.Namespace(command=import_command("airflow").run, arguments=argv[1:])
    else:
        arguments = parser(argv[0] if argv else "").parse_args(argv)
    # Files that a command writes, or the service that it becomes, are private to this user.
    os.umask(0o077)
    try:
        read_settings()
        home = Home.find()
        if home.has_s3:
            # `up` wrote this file; commands that open the store need it.
            os.environ.setdefault(STORE_ACCESS, str(home.store_access))
        with room_for(home.root):
            code: int = arguments.command(home, arguments)
    except SailplaneError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("sailplane: interrupted; started services keep running. `sailplane down` stops them.\n")
        return 130
    return code


def parser(command: str) -> argparse.ArgumentParser:
    """A parser with all commands, but only the arguments of `command`: the other modules are not imported, because
    services and `--help` must start quickly."""
    parser = argparse.ArgumentParser(prog="sailplane", description="From raw data to a served model, on Airflow 3.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        added = commands.add_parser(name, help=text)
        if name == command and name != "sweep-worker":
            import_command(name).add_arguments(added)
    return parser


def import_command(name: str) -> ModuleType:
    return importlib.import_module(f"sailplane.commands.{name}")


if __name__ == "__main__":
    sys.exit(main())
