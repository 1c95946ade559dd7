"""Four days of 24 rows, and models without torch that score them. The bundles are real and take milliseconds to
make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandera.pandas import Column, DataFrameSchema

from sailplane.bundles import writing
from sailplane.bundles.bundle import Bundle
from sailplane.datasets import ingest
from sailplane.predictions import score
from sailplane.records import Dataset, Field, Interval, Predictions, Run
from sailplane.storage import Storage
from tests.unit.evaluation.toy import graph

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = Interval.trailing(AS_OF, 4)
SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "parcel": Column(str),
        "weight": Column(float, nullable=True),
        "colour": Column(str),
        "pieces": Column("Int64", nullable=True),
        "late": Column("boolean", nullable=True),
    }
)
INPUTS = (
    Field(name="weight", kind="number"),
    Field(name="colour", kind="string"),
    Field(name="pieces", kind="integer", nullable=True),
)
FEATURES = """
import numpy as np

def transform(frame, state):
    assert list(frame) == ["weight", "colour", "pieces"], list(frame)
    if (frame["colour"] == "black").any():
        raise KeyError("black")
    weight = frame["weight"].to_numpy("float32")
    pieces = frame["pieces"].astype("Float64").fillna(0).to_numpy("float32")
    weight = np.where(frame["colour"] == "clear", np.nan, weight)
    return {"numbers": np.column_stack([weight, pieces]).astype("float32")}
"""
GOLDEN = pd.DataFrame(
    {
        "weight": [0.5, -1.0],
        "colour": pd.Series(["red", "blue"], dtype="str"),
        "pieces": pd.array([3, None], dtype="Int64"),
    }
)
Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def rows(interval: Interval = DAYS) -> pd.DataFrame:
    """Returns the same rows for a day in any interval. Every fifth row has no `pieces`, and the last day has no
    labels."""
    time = pd.date_range(interval.start, interval.end, freq="h", inclusive="left", unit="us")
    hour = (time.astype("int64") // 3_600_000_000).to_numpy()
    draw = [np.random.default_rng(int(number)) for number in hour]
    pieces = pd.array([one.integers(1, 9) for one in draw], dtype="Int64")
    pieces[hour % 5 == 0] = pd.NA
    late = pd.array([one.random() < 0.5 for one in draw], dtype="boolean")
    late[time >= AS_OF - DAY] = pd.NA
    return pd.DataFrame(
        {
            "time": time,
            "parcel": pd.Series([f"p{number}" for number in hour], dtype="str"),
            "weight": [one.normal() for one in draw],
            "colour": pd.Series(np.where(hour % 2, "red", "blue"), dtype="str"),
            "pieces": pieces,
            "late": late,
        }
    )


def ingested(
    storage: Storage,
    interval: Interval = DAYS,
    *,
    spoil: Spoil = lambda frame: frame,
    name: str = "parcels",
    schema: DataFrameSchema = SCHEMA,
) -> Dataset:
    def extract(start: datetime, end: datetime) -> pd.DataFrame:
        return spoil(rows(Interval(start=start, end=end)))

    return ingest(storage, name=name, extract=extract, schema=schema, time="time", interval=interval)


def trained(
    storage: Storage,
    scratch: Path,
    weights: Any = ((1.0,), (0.1,)),
    *,
    name: str = "run-1",
    outputs: tuple[str, ...] = ("late",),
    features: str = FEATURES,
    as_of: datetime = AS_OF,
    inputs: tuple[Field, ...] = INPUTS,
    golden: pd.DataFrame = GOLDEN,
) -> Run:
    """Puts a bundle with these weights of `weight` and `pieces` on the store. Returns its run."""
    file = scratch / f"{name}.py"
    scratch.mkdir(exist_ok=True)
    file.write_text(features)
    known: dict[str, Any] = {"model": "parcels", "run": name, "dataset": "d", "as_of": as_of, "golden": golden}
    known |= {"target": "late", "outputs": outputs, "inputs": inputs, "features": file, "state": {}}
    written = writing.write(scratch / name, onnx=graph(np.asarray(weights)), **known)
    storage.upload(written.folder, f"runs/{name}/bundle")
    return Run(
        id=name,
        model="parcels",
        config={},
        seed=0,
        dataset=Dataset(
            name="parcels", version="d", uri="file:///d", interval=DAYS, rows=1, quarantined=0, schema=INPUTS
        ),
        as_of=as_of,
        metrics={},
        bundle=storage.uri(f"runs/{name}/bundle"),
        seconds=0.0,
    )


def files(storage: Storage, folder: str = "predictions") -> Mapping[str, bytes]:
    return {path: storage.get(path) for path in storage.list(folder)}


def scored(storage: Storage, run: Run, dataset: Dataset, interval: Interval | None = None, **how: Any) -> Predictions:
    return score(storage, bundle=run.bundle, dataset=dataset, interval=interval or dataset.interval, **how)


def opened(storage: Storage, run: Run, folder: Path) -> Bundle:
    storage.download(storage.path(run.bundle), folder / "opened")
    return Bundle.open(folder / "opened")


def taken(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["weight", "colour", "pieces"]]
