"""`sailplane datasets list | show | diff | refresh`."""

from __future__ import annotations

import argparse
import getpass
import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sailplane.errors import ConfigurationError, DataError
from sailplane.home import Home
from sailplane.services.terminal import print_columns, require_order

if TYPE_CHECKING:
    from sailplane.datasets.catalogue import ListedDataset
    from sailplane.datasets.differences import RowDifference
    from sailplane.datasets.markers import Marker
    from sailplane.datasets.partitions import Partition
    from sailplane.storage import Storage

SAMPLES: Final = 5
_DAY: Final = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)(?:@(?P<version>\d+))?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listed = commands.add_parser("list", help="list all datasets, with their days and versions")
    show = commands.add_parser("show", help="show the days of a dataset: version, rows and source")
    diff = commands.add_parser("diff", help="compare the rows of two versions of a day or of a dataset")
    refresh = commands.add_parser("refresh", help="mark days to be ingested again by the next run that covers them")
    for command in (show, diff, refresh):
        command.add_argument("name")
    for command, needed in ((show, False), (refresh, True)):
        command.add_argument(
            "--from", dest="first", type=_day, required=needed, metavar="DAY", help="the first day, like 2026-10-01"
        )
        command.add_argument("--to", dest="last", type=_day, metavar="DAY", help="the last day")
    diff.add_argument("before", help="a day (its two newest versions), DAY@VERSION, or a version of the dataset")
    diff.add_argument("after", nargs="?", help="like `before`; by default a day's newest version")
    diff.add_argument("--key", type=lambda text: text.split(","), metavar="A,B", help="columns that identify a row")
    diff.add_argument("--rows", type=int, default=SAMPLES, metavar="N", help=f"sample rows of each kind ({SAMPLES})")
    for command in (listed, show, diff):
        command.add_argument("--json", action="store_true", help="as JSON")
    for name, command in commands.choices.items():
        command.set_defaults(command=partial(_run, name))


def _run(name: str, home: Home, arguments: argparse.Namespace) -> int:
    from sailplane import pairing

    if name in ("show", "refresh"):
        require_order(arguments.first, arguments.last)
    storage = pairing.store(home) if name == "refresh" else pairing.recorded_store(home)
    return COMMANDS[name](storage, arguments)


def _list(storage: Storage, arguments: argparse.Namespace) -> int:
    from sailplane.datasets.catalogue import datasets

    listed = datasets(storage)
    if arguments.json:
        _write_json([vars(dataset) for dataset in listed])
    elif listed:
        print_columns([("DATASET", "DAYS", "FIRST", "LAST", "VERSIONS"), *map(_listed_row, listed)])
    else:
        sys.stdout.write("There are no datasets yet: a DAG's ingest task creates them.\n")
    return 0


def _show(storage: Storage, arguments: argparse.Namespace) -> int:
    from sailplane.datasets.catalogue import current, dataset, within

    listed = dataset(storage, arguments.name)
    markers = current(storage, listed.name, within(listed.days, arguments.first, arguments.last))
    if arguments.json:
        _write_json({"name": listed.name, "versions": listed.versions, "days": [_plain(marker) for marker in markers]})
        return 0
    titles = ("DAY", "VERSION", "ROWS", "QUARANTINED", "DIGEST", "MADE", "WHY")
    print_columns([titles, *map(_row, markers)])
    sys.stdout.write(f"\nVersions of the dataset: {', '.join(listed.versions) or 'none'}\n")
    return 0


def _diff(storage: Storage, arguments: argparse.Namespace) -> int:
    differences = [difference for difference in _differences(storage, arguments) if _differ(difference)]
    if arguments.json:
        _write_json([difference.content() for difference in differences])
    elif differences:
        lines = [line for difference in differences for line in _lines(difference)]
        sys.stdout.write("\n".join(lines) + "\n")
    else:
        sys.stdout.write("Both have the same rows.\n")
    return 0


def _refresh(storage: Storage, arguments: argparse.Namespace) -> int:
    """Marks the days, so that the next run of the DAG that covers them ingests them again."""
    from sailplane.datasets.catalogue import dataset, within
    from sailplane.datasets.markers import request_refresh

    listed = dataset(storage, arguments.name)
    first, last = arguments.first, arguments.last or arguments.first
    days = within(listed.days, first, last)
    if not days:
        got, remedy = f"no day from {first:%Y-%m-%d} to {last:%Y-%m-%d} was ingested", "`sailplane datasets show"
        raise DataError("refresh", listed.name, got=got, remedy=f"{remedy} {listed.name}` lists the days.")
    reason = f"requested by {getpass.getuser()} on {datetime.now(UTC):%Y-%m-%d %H:%M}"
    marked = [day for day in days if request_refresh(storage, listed.name, day, reason)]
    sys.stdout.write(
        f"{_days(marked, listed.name)}, will be ingested again by the next run that covers them. Until then the old "
        "rows remain.\n"
    )
    return 0


def _days(days: Sequence[str], name: str) -> str:
    """Like "2 days of orders, 2026-10-01 to 2026-10-02"."""
    return f"{len(days)} days of {name}, {days[0]} to {days[-1]}" if len(days) > 1 else f"1 day of {name}, {days[0]}"


COMMANDS: Final = {"list": _list, "show": _show, "diff": _diff, "refresh": _refresh}


def _differences(storage: Storage, arguments: argparse.Namespace) -> Iterator[RowDifference]:
    from sailplane.datasets.catalogue import version

    name, before, after = arguments.name, arguments.before, arguments.after
    if match := _DAY.fullmatch(before):
        yield _day_difference(storage, arguments, match["day"], *_of_day(storage, name, before, after))
        return
    if after is None:
        raise ConfigurationError("compare", before, got="one version", expected="two versions, or a day")
    old, new = version(storage, name, before).partitions, version(storage, name, after).partitions
    for day in sorted({*old, *new}):
        if old.get(day) != new.get(day):
            yield _day_difference(storage, arguments, day, old.get(day), new.get(day))


def _of_day(storage: Storage, name: str, before: str, after: str | None) -> tuple[Partition, Partition]:
    from sailplane.datasets.catalogue import history

    old, new = _DAY.fullmatch(before), _DAY.fullmatch(after or before.partition("@")[0])
    if old is None or new is None or old["day"] != new["day"]:
        raise ConfigurationError(
            "compare", f"{before} with {after}", expected="two versions of one day, like 2026-10-01@1"
        )
    known = {marker.version: marker for marker in history(storage, name, old["day"])}
    latest = int(new["version"] or max(known))
    # Garbage-collected versions are missing.
    earlier = int(old["version"] or max((number for number in known if number < latest), default=0))
    if not earlier:
        got, expected = f"there is no version before {latest}", "a day that was ingested again with other rows"
        raise DataError("compare versions of", f"{old['day']} of {name}", got=got, expected=expected)
    return _numbered(known, old["day"], earlier), _numbered(known, old["day"], latest)


def _numbered(known: dict[int, Marker], day: str, number: int) -> Partition:
    if number not in known:
        listed = ", ".join(map(str, known))
        raise DataError("find version", f"{number} of {day}", got="no such version", expected=f"one of {listed}")
    return known[number].partition


def _day_difference(
    storage: Storage, arguments: argparse.Namespace, day: str, old: Partition | None, new: Partition | None
) -> RowDifference:
    from sailplane.datasets.catalogue import history
    from sailplane.datasets.differences import difference
    from sailplane.datasets.partitions import read

    tables = [read(storage, arguments.name, partition) if partition else None for partition in (old, new)]
    known = next(table for table in tables if table is not None)
    before, after = (table if table is not None else known.slice(0, 0) for table in tables)
    key = arguments.key or history(storage, arguments.name, day)[-1].key
    if arguments.key and (missing := set(key) - set(known.column_names)):
        expected = f"some of {', '.join(known.column_names)}"
        raise ConfigurationError("read", "--key", got=", ".join(sorted(missing)), expected=expected)
    return difference(day, before, after, key, arguments.rows)


def _differ(difference: RowDifference) -> bool:
    return bool(difference.added or difference.removed or difference.changed or difference.schema)


def _lines(difference: RowDifference) -> Iterator[str]:
    counts = f"{difference.added:,} rows added, {difference.removed:,} removed, {difference.changed:,} changed"
    yield f"{difference.day}: {difference.before:,} -> {difference.after:,} rows: {counts}"
    if difference.columns:
        yield "  changed: " + ", ".join(f"{name} in {count:,} rows" for name, count in difference.columns.items())
    yield from (f"  column {line}" for line in difference.schema)
    for sign, rows in (("+", difference.added_rows), ("-", difference.removed_rows), ("~", difference.changed_rows)):
        yield from (f"  {sign} " + ", ".join(f"{name} {value}" for name, value in row.items()) for row in rows)


def _listed_row(dataset: ListedDataset) -> tuple[str, ...]:
    days = dataset.days
    first, last = (days[0], days[-1]) if days else ("-", "-")
    return dataset.name, str(len(days)), first, last, str(len(dataset.versions))


def _row(marker: Marker) -> tuple[str, ...]:
    day = marker.partition
    why = f"to be ingested again: {marker.refresh}" if marker.refresh else marker.why
    made = f"{marker.made:%Y-%m-%d %H:%M}"
    return day.day, str(marker.version), f"{day.rows:,}", f"{day.quarantined:,}", day.digest[:12], made, why or "-"


def _plain(marker: Marker) -> dict[str, Any]:
    source = marker.source.to_dict() if marker.source else None
    values = {**vars(marker.partition), "version": marker.version, "made": marker.made.isoformat()}
    return {**values, "why": marker.why, "refresh": marker.refresh or None, "source": source}


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


def _write_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
