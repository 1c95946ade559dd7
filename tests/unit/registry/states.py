"""States of a ledger and a store, random or made by hand, with the objects that each must keep."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sailplane.ledger import Ledger, tables
from sailplane.records import Dataset, Interval, Model, Run
from sailplane.registry.garbage import GRACE_SECONDS, Collector
from sailplane.storage import Storage
from sailplane.sweeps.space import parse

SWEEP = parse("method: random\nmetric: {name: auc}\nparameters: {x: {min: 0.0, max: 1.0}}\nrun_cap: 2\n")
OLD = 30 * 86400.0
YOUNG = 3600.0
WINDOW = Interval.trailing(datetime(2026, 1, 4, tzinfo=UTC), 3)
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@dataclass
class State:
    """A ledger and a store. `needed` has the paths that something references, or that are young."""

    ledger: Ledger
    folder: Path
    needed: set[str] = field(default_factory=set)
    ages: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.storage = Storage((self.folder / "store").as_uri())

    def paths(self) -> set[str]:
        """Returns the paths outside the trash."""
        return {path for path in self.storage.list() if not path.startswith("trash/")}

    def put(self, path: str, content: bytes = b"x", *, age: float = OLD) -> str:
        """Puts an object. An existing object gets no older."""
        age = self.ages[path] = min(age, self.ages.get(path, age))
        self.storage.put(path, content)
        changed = time.time() - age
        os.utime(self.folder / "store" / path, (changed, changed))
        if age < GRACE_SECONDS:
            self.needed.add(path)
        return path

    def insert(self, table: sa.Table, **values: Any) -> None:
        with self.ledger.begin() as connection:
            connection.execute(sa.insert(table).values(**values))

    def dataset(self, version: str, days: Iterable[str], *, age: float = OLD) -> set[str]:
        """Puts a manifest with one partition a day, its marker, and rows in quarantine. Returns all paths that a
        reference to it needs."""
        listed, mine = [], set()
        for day in days:
            # Two versions share a day's partition if their names begin alike.
            digest = (version[0] + day.replace("-", "")).ljust(64, "0")
            listed.append({"day": day, "digest": digest, "rows": 1, "quarantined": 0})
            marker = json.dumps({"day": day, "digest": digest, "rows": 1, "quarantined": 0}).encode()
            mine.add(self.put(f"datasets/d/partitions/{day}/{digest}.parquet", age=age))
            mine.add(self.put(f"datasets/d/partitions/{day}/{version[0]}.json", marker, age=age))
            self.put(f"datasets/d/quarantine/{day}/{digest}.parquet", age=OLD)
        manifest = json.dumps({"partitions": listed}).encode()
        mine.add(self.put(f"datasets/d/versions/{version}.json", manifest, age=age))
        if age < GRACE_SECONDS:
            self.needed |= mine
        return mine

    def run(self, run: str, dataset: str, *, age: float = OLD, code: str = "c") -> tuple[dict[str, Any], set[str]]:
        """Returns a run's record, and all paths that a reference to it needs, except its dataset's."""
        about = json.dumps({"dataset": dataset}).encode()
        mine = {self.put(f"runs/{run}/bundle/manifest.json", about, age=age)}
        mine |= {self.put(f"runs/{run}/{name}", age=age) for name in ("bundle/model.onnx", "report.html")}
        mine |= {self.put(f"code/{code}.zip", age=age), self.put(f"environments/{code}.txt", age=age)}
        uri = self.storage.uri(f"datasets/d/versions/{dataset}.json")
        data = Dataset(name="d", version=dataset, uri=uri, interval=WINDOW, rows=1, quarantined=0, schema=())
        record = Run(
            **{"id": run, "model": "m", "config": {}, "seed": 0, "dataset": data, "as_of": WINDOW.end, "metrics": {}},
            **{"bundle": self.storage.uri(f"runs/{run}/bundle"), "seconds": 1.0, "code": code, "environment": code},
        )
        return record.to_dict(), mine

    def model(self, version: str, run: dict[str, Any], *, created: float = OLD) -> set[str]:
        prefix = f"models/m/{version}"
        mine = {self.put(f"{prefix}/{file}") for file in ("manifest.json", "model.onnx", "README.md")}
        made = Run.from_dict(run)
        record = Model(
            **{"name": "m", "version": version, "uri": self.storage.uri(prefix), "digest": "", "run": made.id},
            **{"dataset": made.dataset.version, "as_of": made.as_of, "lineage": made},
        ).to_dict()
        self.insert(tables.models, name="m", version=version, record=record, created=time.time() - created)
        return mine

    def alias(self, alias: str, version: str) -> None:
        self.insert(tables.aliases, name="m", alias=alias, version=version, changed=0.0)

    def deploy(self, version: str, *others: str) -> None:
        weights = dict.fromkeys((version, *others), 50)
        record = {"name": "m", "version": version, "weights": weights, "endpoint": "http://x"}
        self.insert(tables.deployments, name="m", record=record, changed=0.0)

    def deploy_on_cluster(self, *versions: str) -> None:
        record = {"name": "m", "version": versions[0], "weights": dict.fromkeys(versions, 50), "endpoint": "/x"}
        where = {"connection": "kubernetes_default", "namespace": "models", "workload": {}}
        self.insert(tables.cluster_deployments, name="m", **where, record=record, changed=0.0)

    def sweep(self, sweep: str, runs: Iterable[dict[str, Any]], *, last: float = OLD, running: bool = False) -> None:
        self.insert(tables.sweeps, id=sweep, config=SWEEP.to_dict(), seed=0, created=time.time() - OLD)
        for number, run in enumerate(runs):
            lease = time.time() - last
            row = {"sweep": sweep, "number": number, "config": {}, "worker": "w", "lease_until": lease, "run": run}
            self.insert(tables.trials, **row, state="running" if running else "finished")

    def clear(self) -> None:
        with self.ledger.begin() as connection:
            for table in reversed(tables.metadata.sorted_tables):
                if table is not tables.identity:
                    connection.execute(sa.delete(table))


def collector(state: State, **settings: Any) -> Collector:
    return Collector(state.ledger, state.storage, **settings)
