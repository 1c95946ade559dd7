"""`sailplane requests MODEL`: what the log of its requests holds."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from sailplane.errors import ConfigurationError, ModelError
from sailplane.home import Home
from sailplane.services.shipment import failure
from sailplane.services.status import print_columns
from sailplane.storage import Storage

if TYPE_CHECKING:
    from sailplane.monitoring import Counts


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Counts them; with an output, also writes their rows."""
    from sailplane.monitoring import Asked, Counts, requests, scan

    _check_days(arguments)
    counts = Counts()
    asked: Asked = {"since": arguments.first, "until": arguments.last, "version": arguments.version}
    asked |= {"labels": arguments.labels, "spool": home.requests, "counts": counts}
    storage = Storage(home.store)
    if arguments.output:
        requests(storage, arguments.model, **asked).to_parquet(arguments.output, index=False)
    else:
        for _ in scan(storage, arguments.model, **asked):
            pass
    if not counts.rows:
        _check_name(home, storage, arguments.model)
    if arguments.json:
        sys.stdout.write(json.dumps(_plain(counts), indent=2) + "\n")
    else:
        _print(arguments.model, counts)
    if reason := failure(home.requests):
        sys.stderr.write(f"Not all of it is on the store: {reason}\n")
    return 0


def _check_days(arguments: argparse.Namespace) -> None:
    first, last = arguments.first, arguments.last
    if first and last and first > last:
        raise ConfigurationError("read --from", f"{first}", got=f"--to {last}", expected="a day that is not after --to")


def _check_name(home: Home, storage: Storage, model: str) -> None:
    logged = {*storage.folder("requests").folders, *(path.name for path in home.requests.glob("*/"))}
    if model not in logged:
        expected = f"one of {', '.join(sorted(logged))}" if logged else "a model that was asked"
        raise ModelError("find the requests of", model, got="none is logged", expected=expected)


def _plain(counts: Counts) -> dict[str, Any]:
    versions = {version: _of(counts, version) for version in _versions(counts)}
    late = {name: value for name, value in vars(counts).items() if isinstance(value, int)}
    return {**late, "dropped": dict(counts.dropped), "versions": versions}


def _of(counts: Counts, version: str) -> dict[str, int]:
    mine: Counter[str] = Counter()
    for (of, status, shadow), rows in counts.rows.items():
        if of == version:
            mine[f"{status} shadow" if shadow else str(status)] += rows
    return dict(mine)


def _versions(counts: Counts) -> list[str]:
    return sorted({version for version, _, _ in counts.rows})


def _print(model: str, counts: Counts) -> None:
    rows = [("VERSION", "STATUS", "ROWS")]
    rows += [(of, status, str(count)) for of in _versions(counts) for status, count in _of(counts, of).items()]
    print_columns(rows)
    dropped = ", ".join(f"{count} ({reason})" for reason, count in counts.dropped.items())
    sys.stdout.write(f"\n{model}: {counts.requests} requests, {counts.labelled} rows with the truth")
    sys.stdout.write(f", {counts.feedback} feedback\nDropped: {dropped or 'none'}\n")
    if counts.labels:
        sys.stdout.write(f"Labels: {counts.labels}, of these {counts.labels_repeated} given again, ")
        sys.stdout.write(f"{counts.labels_unknown} of unknown ids\n")
