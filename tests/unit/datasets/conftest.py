from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
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
    """Four rows a day for a hundred days from START on."""
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
    """An extract over a frame, which records its calls."""

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
    """Returns the days that have a marker."""

    def days() -> list[str]:
        paths = store.list("datasets/flights/partitions")
        return [Path(path).parent.name for path in paths if path.endswith(".json")]

    return days


@pytest.fixture
def quarantine(store: Storage) -> Callable[[], dict[str, pd.DataFrame]]:
    """Returns the bad rows by day."""

    def frames() -> dict[str, pd.DataFrame]:
        paths = store.list("datasets/flights/quarantine")
        return {Path(path).parent.name: pq.read_table(pa.BufferReader(store.get(path))).to_pandas() for path in paths}

    return frames


def packed(data: bytes, name: str) -> bytes:
    if name.lower().endswith(".gz"):
        return gzip.compress(data)
    return pa.compress(data, "zstd", asbytes=True) if name.endswith(".zst") else data


def write(file: Path, frame: pd.DataFrame) -> None:
    """Writes the frame in the format that the file's name implies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    plain = file.name.lower().removesuffix(".gz").removesuffix(".zst")
    if plain.endswith(".parquet"):
        frame.to_parquet(file)
    elif plain.endswith(("json", "jsonl")):
        file.write_bytes(packed(frame.to_json(orient="records", lines=True, date_format="iso").encode(), file.name))
    else:
        separator = "\t" if plain.endswith(".tsv") else ","
        file.write_bytes(packed(frame.to_csv(index=False, sep=separator).encode(), file.name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the files. Its URI needs quoting."""
    made = tmp_path / "fl ights"
    made.mkdir()
    return made


@pytest.fixture
def files(folder, schema) -> Callable[..., pd.DataFrame]:
    """Reads the rows of the files that match a pattern under `folder`."""

    from sailplane.datasets.files import Files

    def call(pattern: str, start: datetime, end: datetime, **options) -> pd.DataFrame:
        return Files(f"{folder.as_uri()}/{pattern}", schema=schema, time="time", **options)(start, end)

    return call


@pytest.fixture
def days(week) -> tuple[datetime, datetime]:
    return week.start, week.end


def by_day(folder: Path, source: pd.DataFrame, name: str, days: int = 7) -> None:
    for number, (day, rows) in enumerate(source.groupby(source["time"].dt.strftime("%Y-%m-%d"))):
        if number < days:
            write(folder / day / name, rows)
