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
from sailplane.services.closed_output import ending_with_the_reader
from sailplane.storage.access import SETTING as STORE_ACCESS

COMMANDS: Final = {
    "up": "start the services, run the main DAG once, show what came out",
    "down": "stop what `up` started",
    "new": "write a project of your own: data, features, model, sweep, DAG and test",
    "login": "print a link that logs a browser in to the UI, once",
    "status": "services, served models, and what needs a person",
    "clean": "delete logs and records that are older than their retention",
    "predict": "ask a served model",
    "requests": "what the log of a model's requests holds",
    "rollback": "end a rollout, or serve an earlier version; holds deployments",
    "deploy": "serve the baseline that a verdict offers",
    "release": "lift the hold of a rollback: runs may deploy the model again",
    "rollout": "show the decisions of a rollout, with their figures",
    "backtest": "what a DAG's models were worth, day by day, by a backfill",
    "models": "registered models: list them, show one, collect garbage",
    "reproduce": "train a registered model again: does it come out the same?",
    "twin": "a local server of a hosted API",
    "insights": "what algorithms reported",
    "datasets": "list them, show one, compare versions, read days again",
    "sweep": "check a sweep file; look at sweeps, and end them",
    "sweep-worker": "train trials of a shared sweep, on any machine",
    "ledger": "the platform's own database: back it up, check, rebuild",
    "store": "move it to another place",
    "airflow": "Airflow's own command, with the services' settings",
    "run": "become one service (what the supervisor and the containers call)",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line on stderr."""
    with ending_with_the_reader():
        return _run_command(sys.argv[1:] if argv is None else argv)


def _run_command(argv: Sequence[str]) -> int:
    if argv[:1] == ["sweep-worker"]:
        from sailplane.sweep_worker.command import main as join

        # On a machine that has no project, or no more than one file of this package.
        return join(argv[1:])
    if argv[:1] == ["airflow"]:
        # All of the rest is Airflow's, `--help` included, which argparse would take for itself.
        arguments = argparse.Namespace(command=import_command("airflow").run, arguments=argv[1:])
    else:
        arguments = parser(argv[0] if argv else "").parse_args(argv)
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


def parser(command: str) -> argparse.ArgumentParser:
    """Knows all commands by name, and the arguments of `command`: the others are not imported, because services and
    `--help` must start fast."""
    parser = argparse.ArgumentParser(prog="sailplane", description="From raw data to a served model, on Airflow 3.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, told in COMMANDS.items():
        added = commands.add_parser(name, help=told)
        if name == command and name != "sweep-worker":
            import_command(name).add_arguments(added)
    return parser


def import_command(name: str) -> ModuleType:
    return importlib.import_module(f"sailplane.commands.{name}")


if __name__ == "__main__":
    sys.exit(main())
