"""`sailplane requests MODEL`: counts the requests in a model's log, or exports them."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sailplane import pairing
from sailplane.errors import ConfigurationError, ModelError
from sailplane.files import room_for
from sailplane.home import Home
from sailplane.services.log_exporter import failure
from sailplane.services.terminal import print_columns, require_order
from sailplane.serving.spool import UNREADABLE
from sailplane.storage import Storage

if TYPE_CHECKING:
    import pandas as pd

    from sailplane.monitoring import Counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("--version", help="only requests to this version")
    for name, target, which in (("--from", "first", "first day, like 2026-10-01"), ("--to", "last", "last day")):
        parser.add_argument(name, dest=target, type=date.fromisoformat, metavar="DAY", help=f"the {which}, in UTC")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="a Parquet or CSV file with columns id and truth, joined by id"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the rows to this Parquet file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=run)


def run(home: Home, arguments: argparse.Namespace) -> int:
    """Prints counts; with --output, also writes the rows."""
    from sailplane.monitoring import Counts

    require_order(arguments.first, arguments.last)
    storage, counts = pairing.store(home), Counts()
    _check_name(home, storage, arguments.model)
    _read(home, storage, arguments, counts)
    if arguments.json:
        sys.stdout.write(json.dumps(_plain(counts), indent=2) + "\n")
    else:
        _print(arguments.model, counts)
    if reason := failure(home.requests):
        sys.stderr.write(f"Some requests are not on the store yet: {reason}\n")
    if apart := sorted((home.requests / arguments.model).rglob(f"*{UNREADABLE}")):
        sys.stderr.write(f"Skipped unreadable files: {', '.join(map(str, apart))}\n")
    return 0


def _read(home: Home, storage: Storage, arguments: argparse.Namespace, counts: Counts) -> None:
    from sailplane.monitoring import RequestSelection, requests, scan

    asked: RequestSelection = {"since": arguments.first, "until": arguments.last, "version": arguments.version}
    asked |= {"labels": arguments.labels, "spool": home.requests, "counts": counts}
    if arguments.output:
        _write(requests(storage, arguments.model, **asked), arguments.output)
    else:
        for _ in scan(storage, arguments.model, **asked):
            pass


def _check_name(home: Home, storage: Storage, model: str) -> None:
    logged = {*storage.folder("requests").folders, *(path.name for path in home.requests.glob("*/"))}
    if model not in logged:
        expected = f"one of {', '.join(sorted(logged))}" if logged else "a model with logged requests"
        raise ModelError("find the requests of", model, got="no logged requests", expected=expected)


def _write(frame: pd.DataFrame, file: Path) -> None:
    try:
        with room_for(file):
            frame.to_parquet(file, index=False)
    except OSError as error:
        remedy = "Name a file in an existing folder."
        raise ConfigurationError("write", file, got=error.strerror or error, remedy=remedy) from error


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
        sys.stdout.write(f"Labels: {counts.labels}, {counts.labels_repeated} of them repeated, ")
        sys.stdout.write(f"{counts.labels_unknown} with unknown ids\n")
