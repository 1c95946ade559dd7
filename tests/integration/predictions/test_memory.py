"""A larger partition takes no more memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Writes one day with this many rows, and the bundle that scores them.
WRITE = """\
import json, sys
from datetime import datetime, UTC
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pandera.pandas import Column, DataFrameSchema

from sailplane.datasets import ingest
from sailplane.records import Field, Interval
from sailplane.bundles import writing
from sailplane.storage import Storage
from tests.unit.evaluation.toy import graph

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
storage = Storage((folder / "store").as_uri())
names = [f"x{n}" for n in range(20)]
SCHEMA = DataFrameSchema({"time": Column(pd.DatetimeTZDtype("us", "UTC")), **{name: Column(float) for name in names}})


def extract(start, end):
    time = pd.date_range(start, end, periods=rows + 1, inclusive="left").astype(pd.DatetimeTZDtype("us", "UTC"))
    draw = np.random.default_rng(0)
    return pd.DataFrame({"time": time, **{name: draw.random(rows) for name in names}})


interval = Interval.trailing(datetime(2026, 3, 1, tzinfo=UTC), 1)
dataset = ingest(storage, name="wide", extract=extract, schema=SCHEMA, time="time", interval=interval)
(folder / "features.py").write_text(
    "def transform(frame, state):\\n    return {'numbers': frame[['x0', 'x1']].to_numpy('float32')}\\n"
)
made = writing.write(folder / "bundle", model="wide", target="y", outputs=("y",), state={}, run="r", dataset="d",
                    inputs=tuple(Field(name=name, kind="number") for name in names), features=folder / "features.py",
                    onnx=graph(np.ones((2, 1))), golden=extract(interval.start, interval.end).head(8)[names],
                    as_of=interval.end)
storage.upload(made.folder, "runs/r/bundle")
(folder / "dataset.json").write_text(json.dumps(dataset.to_dict()))
print(storage.head(next(path for path in storage.list("datasets/wide/partitions") if "parquet" in path)).size)
"""

# Prints the peak memory in MB of a process that scores them, and which heavy modules it loaded.
SCORE = """\
import json, resource, sys
from pathlib import Path

from sailplane.predictions import score
from sailplane.records import Dataset
from sailplane.storage import Storage

folder = Path(sys.argv[1])
storage = Storage((folder / "store").as_uri())
dataset = Dataset.from_dict(json.loads((folder / "dataset.json").read_text()))
made = score(storage, bundle=storage.uri("runs/r/bundle"), dataset=dataset, interval=dataset.interval)
assert (made.rows, made.rejected) == (dataset.rows, 0)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([peak, sorted({"torch", "airflow", "sklearn"} & set(sys.modules))]))
"""


def ran(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def test_four_times_the_rows_of_a_day_take_no_more_memory_and_no_torch(tmp_path: Path) -> None:
    """It takes half a minute: it writes and scores a million rows."""
    peaks, sizes = [], []
    for rows in (200_000, 800_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        sizes.append(json.loads(ran(WRITE, folder, rows)) / 2**20)
        peak, loaded = json.loads(ran(SCORE, folder))
        peaks.append(peak)
        assert loaded == []
    assert sizes[1] - sizes[0] > 80, f"MB that the rows take as a file: {sizes}"
    assert peaks[1] < peaks[0] + 50, f"MB at the most: {peaks}"
