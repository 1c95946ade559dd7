"""A pipeline of models without torch, with verdicts. The less noise is in its scores, the better a model ranks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandera.pandas import Column, DataFrameSchema

from sailplane.bundles import writing
from sailplane.datasets import ingest
from sailplane.evaluation import evaluate
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import Judged
from sailplane.records import Dataset, Field, Interval, Run
from sailplane.storage import Storage
from tests.unit.evaluation.toy import graph

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "height": Column(float),
        "noise": Column(float),
        "good": Column("boolean", nullable=True),
    }
)
FEATURES = """
def transform(frame, state):
    return {"numbers": frame[["height", "noise"]].to_numpy("float32")}
"""


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    """Returns 48 rows for each day, of which every tenth has no label. The greater the height, the likelier is
    `good`."""
    return pd.concat([_day(day) for day in pd.date_range(start, end, inclusive="left")], ignore_index=True)


def _day(day: pd.Timestamp) -> pd.DataFrame:
    draw = np.random.default_rng(int(day.timestamp()))
    height, noise, luck = draw.normal(size=(3, 48))
    good = pd.array(height + luck > 0, dtype="boolean")
    good[::10] = pd.NA
    time = pd.date_range(day, periods=48, freq="30min").astype(pd.DatetimeTZDtype("us", "UTC"))
    return pd.DataFrame({"time": time, "height": height, "noise": noise, "good": good})


def dataset(storage: Storage, as_of: datetime) -> Dataset:
    interval = Interval.trailing(as_of, 21)
    return ingest(storage, name="toy", extract=extract, schema=SCHEMA, time="time", interval=interval)


def trained(
    storage: Storage, scratch: Path, as_of: datetime, *, noise: float, model: str = "toy", features: str = FEATURES
) -> Run:
    """Makes a run whose model ranks by height + `noise` times the noise."""
    data, name = dataset(storage, as_of), f"{model}/{as_of:%Y-%m-%d}/train"
    scratch.mkdir(exist_ok=True)
    (scratch / "features.py").write_text(features)
    written = writing.write(
        scratch / f"{model}-{as_of:%Y-%m-%d}-{noise}",
        model=model,
        target="good",
        outputs=("good",),
        inputs=(Field(name="height", kind="number"), Field(name="noise", kind="number")),
        onnx=graph(np.array([[1], [noise]])),
        features=scratch / "features.py",
        state={},
        golden=pd.DataFrame({"height": [0.5], "noise": [0.1]}),
        run=name,
        dataset=data.version,
        as_of=as_of,
    )
    storage.upload(written.folder, f"runs/{name}/bundle")
    return Run(
        id=name,
        model=model,
        config={},
        seed=0,
        dataset=data,
        as_of=as_of,
        metrics={},
        bundle=storage.uri(f"runs/{name}/bundle"),
        seconds=0,
    )


def judged(storage: Storage, scratch: Path, number: int, noise: float, **changes: Any) -> Judged:
    """Returns the verdict of the DAG run over this day, counted from the first one. The baseline has half the noise."""
    day = FIRST + number * DAY
    model = changes.pop("model", "toy")
    baseline = trained(storage, scratch, day + DAY, noise=1.0, model=f"{model}-baseline")
    features = changes.pop("features", FEATURES)
    run = trained(storage, scratch, day + DAY, noise=noise, model=model, features=features)
    gate = changes.pop("gate", Gate())
    evaluation = evaluate(storage, run=run, baseline=baseline.bundle, gate=gate)
    values = {"dag": "toy", "dag_run": f"backfill__{day:%Y-%m-%d}", "kind": "backfill", "day": day} | changes
    return Judged(evaluation=evaluation, gate=asdict(gate), **values)
