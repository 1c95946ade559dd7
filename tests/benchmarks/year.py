"""The whole year of flights, ingested, validated and featurised, compared with plain pandas and Polars without
validation."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks import verified
from tests.benchmarks.peers import peer_packages
from tests.benchmarks.row import Row

PROJECT = Path(__file__).parents[2]
ROUNDS = 5
# The tolerance of a column's mean: float32 in another order.
SAME = 1e-6
PEERS = {"pandas": "plain pandas, nothing validated", "polars": "Polars, nothing validated"}


def rows() -> Iterator[Row]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ours", *PEERS)}
    for _ in range(ROUNDS):
        for name, answers in found.items():
            answers.append(_measured(name))
            _assert_same(found["ours"][0], answers[-1], name)
    parts = {name: _medians(answers) for name, answers in found.items()}
    count = found["ours"][0]["rows"]
    speed = {name: count / sum(seconds.values()) for name, seconds in parts.items()}
    for name, told in PEERS.items():
        yield Row("a year, from CSV to the model's arrays", speed["ours"], speed[name], "rows/s", told)
    for part in ("extract", "write", "read", "featurise"):
        for name, told in PEERS.items():
            yield Row(f"of it, {part}", parts["ours"][part], parts[name][part], "s", told)
    yield Row("of it, validate", parts["ours"]["validate"], sum(parts["ours"].values()), "s", "our whole time")


def _measured(way: str) -> dict[str, Any]:
    paths = [PROJECT, PROJECT / "plugins", peer_packages("polars==2.1.0", "polars-runtime-32==2.1.0")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, str(PROJECT / "tests/benchmarks/clients/year.py"), way]
    answer = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(answer.splitlines()[-1]))


def _medians(answers: list[dict[str, Any]]) -> dict[str, float]:
    return {part: statistics.median(answer["parts"][part] for answer in answers) for part in answers[0]["parts"]}


def _assert_same(ours: dict[str, Any], theirs: dict[str, Any], name: str) -> None:
    """Raises unless the rows and their order are the same: each column's sum, plain and weighted by the row's place."""
    verified.same_numbers(f"{name}, rows", [theirs["rows"]], [ours["rows"]], tolerance=0)
    for kind in ("sums", "weighed"):
        for array, sums in ours[kind].items():
            what = f"{name}, {kind} of {array}"
            verified.same_numbers(what, theirs[kind][array], sums, tolerance=SAME * ours["rows"])
