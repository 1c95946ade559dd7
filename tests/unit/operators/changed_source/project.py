"""A user's project with a source, and the task that ingests it."""

from __future__ import annotations

import importlib
import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from sailplane import code
from sailplane.datasets import load
from sailplane.home import Home
from sailplane.operators import IngestDatasetOperator
from sailplane.records import Dataset
from sailplane.storage import Storage

DAYS = ("2024-02-27", "2024-02-28", "2024-02-29")
SCHEMA = """\
import pandas as pd
from pandera.pandas import Column, DataFrameSchema

SCHEMA = DataFrameSchema({"time": Column(pd.DatetimeTZDtype("us", "UTC")), "size": Column(float)})
"""
DATA = """\
from pathlib import Path

import pandas as pd

from . import sizes
from include.shared.units import UNIT

QUERY = Path(__file__).with_name("query.sql")

def extract(start, end):
    asked.append((start, end))
    factor = float(QUERY.read_text().removeprefix("SELECT "))
    times = pd.date_range(start, end, inclusive="left", freq="12h")
    return pd.DataFrame({"time": times, "size": sizes.SIZE * UNIT * factor})

asked = []
"""


EXTRACT = "include.things.data:extract"


@dataclass
class Project:
    """A user's project, and the XComs of the last task."""

    folder: Path
    pushed: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, text: str) -> None:
        file = self.folder / "include" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def day(self, day: str, size: float = 1.0, *, rows: int = 2, header: str = "time,size", part: str = "") -> Path:
        """Returns the file of a day."""
        lines = [f"{day}T{hour:02}:00,{size}" for hour in range(rows)]
        file = self.folder / "files" / f"{day}{part}.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join([header, *lines, ""]))
        return file

    def ingest(self, *, params: dict[str, Any] | None = None, **arguments: Any) -> Dataset:
        """Ingests as a task does, in a fresh process."""
        self.forget()
        files = f"{self.folder.as_uri()}/files/{{data_interval_start:%Y-%m-%d}}*"
        where = {"files": files} if "extract" not in arguments else {}
        given = {"schema": "include.things.schema:SCHEMA", "time": "time", "days": 3, **where, **arguments}
        task = IngestDatasetOperator(task_id="ingest", dataset="sizes", **given)
        midnight = datetime(2024, 3, 1, tzinfo=UTC)
        due = SimpleNamespace(run_after=midnight, run_type="manual", partition_key=None, clear_number=0)
        self.pushed = {}
        ti = SimpleNamespace(
            **{"dag_id": "d", "run_id": uuid4().hex, "task_id": "ingest", "map_index": -1, "max_tries": 0},
            try_number=1,
            xcom_push=lambda key, value: self.pushed.update({key: value}),
        )
        return Dataset.from_dict(task.execute({"params": params or {}, "dag_run": due, "ti": ti}))

    def forget(self) -> None:
        code._used.clear()
        sys.modules.pop("include", None)
        for name in [
            name for name in sys.modules if name.split(".")[:2] in (["include", "things"], ["include", "shared"])
        ]:
            del sys.modules[name]
        for cache in self.folder.rglob("__pycache__"):
            shutil.rmtree(cache)
        importlib.invalidate_caches()

    @property
    def why(self) -> list[str]:
        """Returns the sentences that the UI shows next to the task's result."""
        return list(self.pushed.get("ingested_again", []))

    @property
    def storage(self) -> Storage:
        return Storage(Home.find().store)

    def sizes(self, dataset: Dataset) -> list[float]:
        return load(self.storage, dataset)["size"].tolist()


def called() -> list[tuple[datetime, datetime]]:
    """Returns the arguments of `extract` in the last run."""
    return list(getattr(sys.modules.get("include.things.data"), "asked", ()))
