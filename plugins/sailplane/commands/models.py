"""`sailplane models list | show | gc | restore`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from sailplane import pairing
from sailplane.errors import ModelError
from sailplane.home import Home
from sailplane.records import Model
from sailplane.registry.card import CARD
from sailplane.registry.garbage import KEEP, Collector, Garbage
from sailplane.registry.models import RegisteredVersion, find, measured_on, versions
from sailplane.registry.trash import TRASH, restore
from sailplane.services.terminal import confirm, print_columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listed = commands.add_parser("list", help="list all versions, newest first")
    show = commands.add_parser("show", help="show a version's aliases, metrics, lineage and card")
    show.add_argument("model")
    show.add_argument("version", nargs="?", help="a version or an alias; by default the champion, or else the newest")
    for command in (listed, show):
        command.add_argument("--json", action="store_true", help="as JSON")
    gc = commands.add_parser("gc", help="move unreferenced versions and objects to the trash")
    gc.add_argument("--dry-run", action="store_true", help="list what would be moved, and move nothing")
    gc.add_argument("--keep", type=int, metavar="N", help="keep each model's newest N versions (5)")
    gc.add_argument("--yes", action="store_true", help="do not ask")
    back = commands.add_parser("restore", help="restore objects that were moved to the trash within the last week")
    back.add_argument("path", help="the path of an object or a folder in the store, as `gc` prints it")
    for name, command in commands.choices.items():
        command.set_defaults(command=COMMANDS[name])


def _list(home: Home, arguments: argparse.Namespace) -> int:
    found = versions(pairing.ledger(home))
    if arguments.json:
        sys.stdout.write(json.dumps([_plain(version) for version in found], indent=2) + "\n")
    elif found:
        print_columns(
            [("MODEL", "VERSION", "AS OF", "REGISTERED", "ALIASES", "METRICS", "MEASURED ON"), *map(_row, found)]
        )
    else:
        sys.stdout.write("No models are registered yet: a DAG's deploy task registers them.\n")
    return 0


def _show(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    model = find(ledger, f"{arguments.model}@{arguments.version}" if arguments.version else arguments.model)
    version = next(known for known in versions(ledger, model.name) if known.model.version == model.version)
    if arguments.json:
        sys.stdout.write(json.dumps(_plain(version), indent=2) + "\n")
        return 0
    about = [("ALIASES", ", ".join(version.aliases) or "-"), ("REGISTERED", _date(version)), ("URI", model.uri)]
    about += [("ROLLED BACK", str(version.rolled_back).removeprefix("rolled back "))] if version.rolled_back else []
    print_columns([*about, ("MEASURED", measured_on(model))])
    sys.stdout.write(f"\n{_card(home, model)}\n")
    return 0


def _gc(home: Home, arguments: argparse.Namespace) -> int:
    keep = KEEP if arguments.keep is None else arguments.keep
    collector = Collector(*pairing.opened(home), live=lambda: _specifications(home), keep=keep)
    found = collector.find()
    if arguments.dry_run:
        _print_garbage(found, "would be moved to the trash")
    elif arguments.yes:
        _print_garbage(collector.collect(found), "moved to the trash")
    elif found.empty:
        _print_garbage(found, "to move to the trash")
    else:
        _print_garbage(found, "to move to the trash")
        confirm(f"Move them to {home.store}/{TRASH}, where they are kept for a week?", "--yes")
        collector.collect(found)
    return 0


def _restore(home: Home, arguments: argparse.Namespace) -> int:
    storage = pairing.store(home)
    restored = restore(storage, arguments.path)
    if not restored:
        got = "the trash has nothing of it that is missing from the store"
        remedy = "`sailplane models gc` printed the paths."
        raise ModelError("restore", storage.uri(arguments.path), got=got, remedy=remedy)
    sys.stdout.write("".join(f"{path}\n" for path in restored))
    return 0


COMMANDS: Final = {"list": _list, "show": _show, "gc": _gc, "restore": _restore}


def _specifications(home: Home) -> Iterator[dict[str, Any]]:
    """The specifications of this home's running jobs."""
    from sailplane.training.jobs import running

    for job in running(home.jobs):
        yield json.loads((job.folder / "job.json").read_text())


def _print_garbage(garbage: Garbage, action: str) -> None:
    for name, version in garbage.versions:
        sys.stdout.write(f"{name} {version}: an unused version\n")
    for entry in garbage.objects:
        sys.stdout.write(f"{_size(entry.size):>9}  {entry.path}\n")
    count = f"{len(garbage.versions)} versions and {len(garbage.objects)} objects"
    sys.stdout.write(f"{count}, {_size(garbage.bytes).strip()}, {action}.\n")
    if garbage.expired:
        gone, size = len(garbage.expired), _size(sum(entry.size for entry in garbage.expired)).strip()
        when = "deleted" if action.startswith("moved") else "to be deleted"
        sys.stdout.write(f"{gone} objects, {size}, after a week in the trash: {when}.\n")


def _card(home: Home, model: Model) -> str:
    storage = pairing.store(home)
    try:
        return storage.read_text(f"{storage.path(model.uri)}/{CARD}")
    except FileNotFoundError:
        # An earlier release registered it without a card.
        return json.dumps(model.content(), indent=2)


def _row(version: RegisteredVersion) -> tuple[str, ...]:
    model = version.model
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in sorted(model.metrics.items())[:2])
    named = ", ".join([*version.aliases, *(["rolled back"] if version.rolled_back else [])]) or "-"
    measured = measured_on(model) if metrics else "-"
    return model.name, model.version, f"{model.as_of:%Y-%m-%d}", _date(version), named, metrics or "-", measured


def _plain(version: RegisteredVersion) -> dict[str, Any]:
    measured = {"measured_on": measured_on(version.model)}
    bad = version.rolled_back
    state = {"aliases": list(version.aliases), "rolled_back": {"since": _iso(bad.since), "by": bad.by} if bad else None}
    return {**version.model.content(), **measured, **state, "registered": _iso(version.created)}


def _date(version: RegisteredVersion) -> str:
    return f"{datetime.fromtimestamp(version.created, UTC):%Y-%m-%d %H:%M}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
