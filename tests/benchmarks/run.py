"""`make bench [BENCH=name] [JSON=file]` measures the project's claims about speed and size, compared with a peer in the
same run. A benchmark is a module of this folder with `rows() -> Iterator[Row]`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent
WIDTH = 140
SHARED = ("run", "row", "load", "memory", "model_servers", "peers", "verified")
sys.path.insert(0, str(FOLDER.parents[1]))

from tests.benchmarks.row import Row  # noqa: E402


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in SHARED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", nargs="?", default="", help=f"one of {', '.join(names())}; all if empty")
    parser.add_argument("--json", default="", help="also write one JSON object a row to this file")
    asked = parser.parse_args()
    if asked.bench and asked.bench not in names():
        parser.error(f"no benchmark {asked.bench!r}; expected one of {', '.join(names())}")
    rows: list[Row] = []
    for name in [asked.bench] if asked.bench else names():
        for row in importlib.import_module(f"tests.benchmarks.{name}").rows():
            rows.append(row)
            Console(stderr=True).print(row)
    Console(width=WIDTH).print(table(rows))
    if asked.json:
        Path(asked.json).write_text("".join(f"{json.dumps(row.to_dict())}\n" for row in rows))


def table(rows: list[Row]) -> Table:
    drawn = Table("name", "ours", "peer", "ratio", "unit", "peer is", "limit")
    for row in rows:
        drawn.add_row(
            row.name, f"{row.ours:.4g}", f"{row.peer:.4g}", f"{row.ratio:.2f}", row.unit, row.peer_is, row.limit
        )
    return drawn


if __name__ == "__main__":
    main()
