"""`sailplane models list | show | gc`, `sailplane reproduce`: a function a command, (home, arguments) -> exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.records import Model
from sailplane.registry.card import CARD
from sailplane.registry.garbage import KEEP, Collector, Garbage
from sailplane.registry.models import Version, find, versions
from sailplane.services.status import print_columns
from sailplane.storage import Storage
from sailplane.training.reproduction import Reproduction, reproduce


def _list(home: Home, arguments: argparse.Namespace) -> int:
    found = versions(Ledger.at(home))
    if arguments.json:
        sys.stdout.write(json.dumps([_plain(version) for version in found], indent=2) + "\n")
    elif found:
        print_columns([("MODEL", "VERSION", "AS OF", "REGISTERED", "ALIASES", "METRICS"), *map(_row, found)])
    else:
        sys.stdout.write("No model is registered yet: a DAG's deploy task does that.\n")
    return 0


def _show(home: Home, arguments: argparse.Namespace) -> int:
    ledger = Ledger.at(home)
    model = find(ledger, f"{arguments.model}@{arguments.version}" if arguments.version else arguments.model)
    version = next(one for one in versions(ledger, model.name) if one.model.version == model.version)
    if arguments.json:
        sys.stdout.write(json.dumps(_plain(version), indent=2) + "\n")
        return 0
    print_columns([("ALIASES", ", ".join(version.aliases) or "-"), ("REGISTERED", _date(version)), ("URI", model.uri)])
    sys.stdout.write(f"\n{_card(home, model)}\n")
    return 0


def _gc(home: Home, arguments: argparse.Namespace) -> int:
    keep = KEEP if arguments.keep is None else arguments.keep
    collector = Collector(Ledger.at(home), Storage(home.store), live=lambda: _specifications(home), keep=keep)
    garbage = collector.find() if arguments.dry_run else collector.collect()
    _print_garbage(garbage, "would be deleted" if arguments.dry_run else "deleted")
    return 0


def _reproduce(home: Home, arguments: argparse.Namespace) -> int:
    """Exit code: 0 if it came out the same, else 1."""
    model = find(Ledger.at(home), arguments.model)
    result = reproduce(home, Storage(home.store), model, tell=lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write(json.dumps(result.to_dict(), indent=2) + "\n" if arguments.json else _told(result))
    return 0 if result.agrees else 1


COMMANDS: Final = {"list": _list, "show": _show, "gc": _gc, "reproduce": _reproduce}


def _specifications(home: Home) -> Iterator[dict[str, Any]]:
    """Of the processes of this home's tasks."""
    from sailplane.training.jobs import running

    for job in running(home.jobs):
        yield json.loads((job.folder / "job.json").read_text())


def _print_garbage(garbage: Garbage, said: str) -> None:
    for name, version in garbage.versions:
        sys.stdout.write(f"{name} {version}: a version that nobody uses\n")
    for entry in garbage.objects:
        sys.stdout.write(f"{_size(entry.size):>9}  {entry.path}\n")
    count = f"{len(garbage.versions)} versions and {len(garbage.objects)} objects"
    sys.stdout.write(f"{count}, {_size(garbage.bytes).strip()}, {said}.\n")


def _told(result: Reproduction) -> str:
    lines = [f"installed: {line}" for line in result.environment]
    lines += [f"- {line}" for line in result.differences]
    measure = "bit for bit" if result.exact else "in its metrics, within tolerance"
    verdict = f"agrees {measure}" if result.agrees else f"does not agree {measure}"
    metrics = ", ".join(f"{name.removeprefix('validation_')} {value:.4f}" for name, value in result.now.items())
    lines.append(f"{result.model} {result.version}, trained again in {result.seconds:.1f} s, {verdict}: {metrics}")
    return "".join(f"{line}\n" for line in lines)


def _card(home: Home, model: Model) -> str:
    storage = Storage(home.store)
    try:
        return storage.get(f"{storage.path(model.uri)}/{CARD}").decode()
    except FileNotFoundError:
        # It was registered before there were cards.
        return json.dumps(model.to_dict(), indent=2)


def _row(version: Version) -> tuple[str, ...]:
    model = version.model
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in sorted(model.metrics.items())[:2])
    named = ", ".join(version.aliases) or "-"
    return model.name, model.version, f"{model.as_of:%Y-%m-%d}", _date(version), named, metrics or "-"


def _plain(version: Version) -> dict[str, Any]:
    created = datetime.fromtimestamp(version.created, UTC).isoformat()
    return {**version.model.to_dict(), "aliases": list(version.aliases), "registered": created}


def _date(version: Version) -> str:
    return f"{datetime.fromtimestamp(version.created, UTC):%Y-%m-%d %H:%M}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
