"""An epoch of the first project's model on one thread, compared with PyTorch Lightning, a DataLoader and a bare loop.
All must train on every row once an epoch, and end with the same validation AUC. BENCH_ROUNDS=2 for a first look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sailplane import code
from sailplane.datasets import ingest
from sailplane.records import Interval
from sailplane.storage import Storage
from sailplane.training.arrays import pack
from sailplane.training.data import prepare
from tests.benchmarks import verified
from tests.benchmarks.peers import peer_packages
from tests.benchmarks.row import Row

PROJECT = Path(__file__).parents[2]
# A seed changes the AUC by 0.003; the mean of 16 seeds is stable enough.
ROUNDS, AUC_OF_A_SEED = int(os.environ.get("BENCH_ROUNDS", "16")), 0.003
PEERS = {
    "lit": "PyTorch Lightning, row by row",
    "lit_bulk": "PyTorch Lightning, whole batches",
    "loader": "a DataLoader loop, row by row",
    "bulk": "a DataLoader loop, whole batches",
    "bare": "a bare loop over tensors",
}
LIMITS = {"lit": "a quarter", "loader": "a quarter", "bare": "1.15 times"}


def rows() -> Iterator[Row]:
    found = _measured()
    ours = found["ours"]
    for name, told in PEERS.items():
        _assert_same(ours, found[name], told)
    for name, told in PEERS.items():
        seconds = found[name]["seconds"]
        yield Row("an epoch on one thread", ours["seconds"], seconds, "s", told, LIMITS.get(name, ""))
    for name, told in PEERS.items():
        yield Row("its validation AUC", ours["auc"], found[name]["auc"], "AUC", told, "within 0.002")


def _assert_same(ours: dict[str, Any], theirs: dict[str, Any], peer: str) -> None:
    """Allows four standard errors of the difference of two means."""
    verified.same_numbers(f"{peer}, rows trained on", theirs["rows"], ours["rows"], tolerance=0)
    allowed = 4 * AUC_OF_A_SEED * (2 / ROUNDS) ** 0.5
    verified.same_numbers(f"{peer}, validation AUC", [theirs["auc"]], [ours["auc"]], tolerance=allowed)


def _measured() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"SAILPLANE_HOME": str(Path(folder, "home")), "SAILPLANE_PROJECT": str(PROJECT)}
        data, storage = code.load("include.flights.data"), Storage(Path(folder, "store").as_uri())
        interval = Interval.trailing(datetime(2013, 7, 5, tzinfo=UTC), 196)
        told = {"extract": data.extract, "schema": data.SCHEMA, "time": "scheduled_departure", "interval": interval}
        dataset = ingest(storage, name="flights", **told)
        file = Path(folder, "data.npz")
        pack(prepare(storage, dataset, code.load("include.flights.features")), file)
        paths = [peer_packages("lightning==2.6.6", "lightning-utilities", "torchmetrics"), PROJECT, PROJECT / "plugins"]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, paths))}
        command = [sys.executable, str(PROJECT / "tests/benchmarks/clients/epochs.py"), str(file), str(ROUNDS)]
        answer = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(answer.splitlines()[-1]))
