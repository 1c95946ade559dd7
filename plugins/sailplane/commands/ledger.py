"""`sailplane ledger init | backup | restore | check | rebuild`: (home, arguments) -> exit code."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Final

from sailplane.home import Home

# Each command imports its own modules, so that the command line starts quickly.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="create an empty ledger, or bring an old one up to date")
    init.add_argument("--first", action="store_true", help="fail if models were registered or served here before")
    init.add_argument("--yes", action="store_true", help="do not ask before replacing a lost ledger by an empty one")
    backup = commands.add_parser("backup", help="copy the ledger to the store, which keeps the newest seven copies")
    backup.add_argument("--if-file", action="store_true", help="do nothing for a ledger on PostgreSQL")
    restore = commands.add_parser("restore", help="replace the ledger by a backup; the old file is kept")
    restore.add_argument("backup", nargs="?", default="newest", help="a file, or the name of a backup (newest)")
    commands.add_parser("check", help="check that the ledger is intact, up to date and backed up")
    commands.add_parser("rebuild", help="restore models, versions, lineage and evaluations from the store")
    for name, command in commands.choices.items():
        command.set_defaults(command=partial(_run, name))


def _run(name: str, home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.backups import reachable_store

    with reachable_store(home):
        return COMMANDS[name](home, arguments)


def _init(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services import installation
    from sailplane.services.environment import prepare
    from sailplane.services.store_check import require_store

    prepare(home)
    if arguments.first:
        installation.require_ledger(home, _tell)
    if not arguments.yes:
        _confirm_empty(home)
    ledger = installation.create(home, _tell)
    require_store(home)
    installation.pair(home)
    sys.stdout.write(f"The ledger {ledger.location} is ready. The ledger and the store have the id {ledger.id}.\n")
    return 0


def _confirm_empty(home: Home) -> None:
    from sailplane.ledger.engines import engine_of, location_of
    from sailplane.services import installation
    from sailplane.services.terminal import confirm

    if installation.is_missing(home) and not installation.is_new(home):
        location = location_of(engine_of(home.ledger).url)
        _tell(f"This installation had a ledger. A new one in {location} would not know the models in the store;")
        _tell("`sailplane ledger rebuild` restores them. Is SAILPLANE_LEDGER right?")
        confirm("Create an empty ledger?", "--yes")


def _backup(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.backups import backup, is_file

    if arguments.if_file and not is_file(home):
        return 0
    path = backup(home)
    sys.stdout.write(f"{home.store}/{path}\n")
    return 0


def _restore(home: Home, arguments: argparse.Namespace) -> int:
    from sailplane.services.backups import restore
    from sailplane.services.rebuilding import rebuild

    name, aside = restore(home, arguments.backup)
    found = rebuild(home)
    sys.stdout.write(f"The ledger is now the backup {name}. Run `sailplane up` to continue with it.\n")
    if aside:
        sys.stdout.write(f"The old file is {aside}.\n")
    if found.models or found.evaluations:
        since = f"{len(found.models)} versions and {found.evaluations} evaluations"
        sys.stdout.write(f"Added newer records from the store: {since}.\n")
    for champion in found.champions:
        sys.stdout.write(f"{champion} is the champion: the router serves it.\n")
    held = "Holds and marks of rolled-back versions are those of the backup"
    sys.stdout.write(f"{held}: `sailplane status` lists the holds.\n")
    return 0


def _check(home: Home, _arguments: argparse.Namespace) -> int:
    from sailplane.services.ledger_check import check

    problems = check(home, _tell)
    for problem in problems:
        _tell(f"- {problem}")
    return 1 if problems else 0


def _rebuild(home: Home, _arguments: argparse.Namespace) -> int:
    from sailplane.services.rebuilding import LOST, rebuild

    found = rebuild(home)
    sys.stdout.write(f"Added {len(found.models)} versions and {found.evaluations} evaluations from {home.store}.\n")
    for name in found.champions:
        sys.stdout.write(f"{name} is the champion: the router serves it.\n")
    for name in found.without_champion:
        remedy = "Deploy one of its versions. Until then `models gc` keeps all of them."
        sys.stdout.write(f"{name} has no champion, because the store does not record which version serves. {remedy}\n")
    for path in found.unreadable:
        sys.stdout.write(f"Skipped an unreadable object: {path}\n")
    if found.aside:
        sys.stdout.write(f"The damaged file is {found.aside}.\n")
    sys.stdout.write("Not restored, because the store does not have it:\n")
    sys.stdout.writelines(f"- {lost}\n" for lost in LOST)
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


COMMANDS: Final = {"init": _init, "backup": _backup, "restore": _restore, "check": _check, "rebuild": _rebuild}
