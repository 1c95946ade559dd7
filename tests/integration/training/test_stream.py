"""Training rows that are read again in each epoch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sailplane.errors import TrainingError
from sailplane.home import Home
from sailplane.storage import Storage
from sailplane.training.fit import fit
from sailplane.training.specs import TrainSpec

Make = Callable[..., TrainSpec]

# Prints the additional memory in MB that a pass over this number of days takes at its peak.
MEMORY = """\
import json, resource, sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pandera.pandas import Column, DataFrameSchema

from sailplane.datasets import ingest, load
from sailplane.records import Interval
from sailplane.storage import Storage
from sailplane.training import stream

DAYS, ROWS = int(sys.argv[2]), 100_000
storage = Storage(Path(sys.argv[1]).as_uri())
columns = {f"x{n}": Column(float) for n in range(20)}
SCHEMA = DataFrameSchema({"time": Column(pd.DatetimeTZDtype("us", "UTC")), "good": Column("boolean"), **columns})


def extract(start, end):
    time = pd.date_range(start, end, periods=ROWS + 1, inclusive="left").astype(pd.DatetimeTZDtype("us", "UTC"))
    draw = np.random.default_rng(int(start.timestamp()))
    return pd.DataFrame({"time": time, "good": pd.array(draw.random(ROWS) > 0.5, dtype="boolean"),
                         **{name: draw.random(ROWS) for name in columns}})


for day in Interval.trailing(datetime(2026, 3, 1, tzinfo=UTC), DAYS).days:
    one = ingest(storage, name="wide", extract=extract, schema=SCHEMA, time="time",
                 interval=Interval.trailing(day + pd.Timedelta(days=1), 1))
whole = Interval.trailing(datetime(2026, 3, 1, tzinfo=UTC), DAYS)
dataset = ingest(storage, name="wide", extract=extract, schema=SCHEMA, time="time", interval=whole)
stream.FITTED_ROWS = 50_000
rows = stream.Labelled(storage=storage, dataset=dataset, interval=whole, target="good", outputs=("good",))
transform = lambda frame, state: {"numbers": frame[list(columns)].to_numpy("float32")}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sample, count = rows.sample()
seen = sum(len(target) for _, target in stream.StoreStream(rows, count, transform, {}).chunks(1))
assert seen == count == DAYS * ROWS, (seen, count)
print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))
"""


def test_a_stream_gives_the_model_that_memory_gives(spec: Make, home: Home) -> None:
    config = {"dropout": 0.0}
    runs = {
        name: fit(spec("learns_by_batches", run=f"toy/{name}", config=config, stream=name == "stream"))
        for name in ("memory", "stream")
    }
    auc = [run.metrics["validation_auc"] for run in runs.values() if run]
    assert auc[1] == pytest.approx(auc[0], abs=0.005)
    state = [Storage(home.store).get(f"runs/toy/{name}/bundle/state.json") for name in runs]
    assert state[0] == state[1], "few rows are all fitted on"


def test_a_train_function_that_wants_all_rows_is_told_what_to_do(spec: Make) -> None:
    with pytest.raises(TrainingError, match=r"they are a stream. Use `run.batches\(data.train, size\)`"):
        fit(spec("train", stream=True))


def test_four_times_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    """It takes half a minute: it writes and reads days of 100,000 rows with 20 columns."""
    taken = []
    for days in (4, 16):
        command = [sys.executable, "-c", MEMORY, str(tmp_path / f"store{days}"), str(days)]
        taken.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert taken[1] < taken[0] + 100, f"MB, of which the rows alone are 640: {taken}"
