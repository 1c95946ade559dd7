from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pandera.pandas import Check, Column, DataFrameSchema

from sailplane.records import Dataset, Interval
from sailplane.storage import Storage

START = datetime(2024, 2, 26, tzinfo=UTC)
SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "distance": Column(float, Check.greater_than(0)),
        "carrier": Column(str, Check.str_length(2, 2)),
        "seats": Column("Int64", nullable=True),
        "late": Column("boolean", nullable=True),
    }
)


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


@pytest.fixture
def week() -> Interval:
    return Interval(start=START, end=START + timedelta(days=7))


@pytest.fixture
def source() -> pd.DataFrame:
    """Four rows a day from START on, for a hundred days."""
    times = pd.date_range(START, periods=400, freq="6h", unit="us")
    return pd.DataFrame(
        {
            "time": times,
            "distance": [float(100 + row) for row in range(400)],
            "carrier": ["AA", "UA"] * 200,
            "seats": pd.array([150, None] * 200, dtype="Int64"),
            "late": pd.array([True, False, None, False] * 100, dtype="boolean"),
        }
    )


class Source:
    """An extract over a frame; remembers what it was asked for."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.asked: list[tuple[datetime, datetime]] = []

    def __call__(self, start: datetime, end: datetime) -> pd.DataFrame:
        self.asked.append((start, end))
        return self.frame[(self.frame["time"] >= start) & (self.frame["time"] < end)]


@pytest.fixture
def extract(source: pd.DataFrame) -> Source:
    return Source(source)


@pytest.fixture
def ingested(store: Storage) -> Callable[..., Dataset]:
    from sailplane.datasets import ingest

    def run(extract: object, interval: Interval, schema: DataFrameSchema = SCHEMA, storage: Storage = store) -> Dataset:
        return ingest(storage, name="flights", extract=extract, schema=schema, time="time", interval=interval)

    return run


@pytest.fixture
def schema() -> DataFrameSchema:
    return SCHEMA


@pytest.fixture
def markers(store: Storage) -> Callable[[], list[str]]:
    """The days that exist."""

    def days() -> list[str]:
        paths = store.list("datasets/flights/partitions")
        return [Path(path).parent.name for path in paths if path.endswith(".json")]

    return days


@pytest.fixture
def quarantine(store: Storage) -> Callable[[], dict[str, pd.DataFrame]]:
    """The bad rows by day."""

    def frames() -> dict[str, pd.DataFrame]:
        paths = store.list("datasets/flights/quarantine")
        return {Path(path).parent.name: pq.read_table(store.folder / path).to_pandas() for path in paths}

    return frames
