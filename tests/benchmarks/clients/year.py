"""Turns a year of flights from CSV files into 365 Parquet files, and these into the model's arrays, in one of three
ways.

`python year.py ours|pandas|polars` prints {"rows": n, "parts": {part: seconds}, "sums": {array: the sum of each
column}, "weighed": {array: the sum of each column times the row's place, 0 to 1}}.

pandas and Polars read, write and compute as their guides recommend: by columns, not row by row, and Polars with its
expressions. https://pandas.pydata.org/docs/user_guide/enhancingperf.html and https://docs.pola.rs/user-guide/io/csv/"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from include.flights import data as source
from include.flights import features
from sailplane.bundles.arrays import arrays_of_frame
from sailplane.datasets.schema import fields

START, END = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)
Arrays = dict[str, Any]
parts: dict[str, float] = {}


@contextmanager
def part(name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    parts[name] = parts.get(name, 0.0) + time.perf_counter() - start


def ours(folder: Path) -> Arrays:
    from sailplane.datasets import ingest, ingestion, load
    from sailplane.records import Interval
    from sailplane.storage import Storage

    def extract(start: datetime, end: datetime) -> Any:
        with part("extract"):
            return source.extract(start, end)

    storage, check = Storage(folder.as_uri()), ingestion.check

    def checked(*given: Any) -> Any:
        with part("validate"):
            return check(*given)

    ingestion.check = checked
    interval = Interval(start=START, end=END)
    asked = {"name": "flights", "schema": source.SCHEMA, "time": "scheduled_departure", "interval": interval}
    start = time.perf_counter()
    dataset = ingest(storage, extract=extract, **asked)
    parts["write"] = time.perf_counter() - start - parts["extract"] - parts["validate"]
    with part("read"):
        frame = load(storage, dataset)
    return featurised(frame)


def pandas(folder: Path) -> Arrays:
    import pandas as pd

    with part("extract"):
        frame = source.extract(START, END)
    with part("write"):
        for day, rows in frame.groupby(frame["scheduled_departure"].dt.date):
            rows.to_parquet(folder / f"{day}.parquet", compression="zstd", index=False)
    with part("read"):
        frame = pd.concat([pd.read_parquet(file) for file in sorted(folder.iterdir())], ignore_index=True)
    return featurised(frame)


def featurised(frame: Any) -> Arrays:
    with part("featurise"):
        columns = arrays_of_frame(frame, fields(source.SCHEMA))
        return features.transform(columns, features.fit(columns))


def polars(folder: Path) -> Arrays:
    import polars as pl

    with part("extract"):
        frame = _year(pl)
    with part("write"):
        for (day,), rows in frame.partition_by("date", as_dict=True).items():
            rows.write_parquet(folder / f"{day}.parquet", compression="zstd")
    with part("read"):
        frame = pl.read_parquet(sorted(folder.iterdir()))
    with part("featurise"):
        return {"numbers": _numbers(pl, frame), "categories": _categories(pl, frame)}


def _year(pl: Any) -> Any:
    planes = _csv(pl, "planes.csv", ["tailnum", "year", "seats"])
    weather = _csv(pl, "weather.csv", ["origin", "time_hour", *source.WEATHER])
    rows = _csv(pl, "flights.csv", source.FLIGHTS)
    rows = rows.join(planes, on="tailnum", how="left").join(weather, on=["origin", "time_hour"], how="left")
    departure, arrival = pl.col("sched_dep_time"), pl.col("sched_arr_time")
    date = pl.date(2013, pl.col("month"), pl.col("day"))
    minute = departure // 100 * 60 + departure % 100
    made = rows.with_columns(
        date=date,
        scheduled_departure=date.cast(pl.Datetime("us")) + pl.duration(minutes=minute),
        scheduled_arrival_minute=(arrival // 100 * 60 + arrival % 100) % 1440,
        weekday=date.dt.weekday().cast(pl.Int64) - 1,
        plane_age=(2013 - pl.col("year")).cast(pl.Float64),
        plane_seats=pl.col("seats").cast(pl.Float64),
        distance=pl.col("distance").cast(pl.Float64),
        late=pl.col("arr_delay") >= source.LATE_MINUTES,
    )
    order = ["scheduled_departure", "carrier", "flight", "origin", "dest"]
    return made.select("date", *source.SCHEMA.columns).sort(order)


def _csv(pl: Any, name: str, columns: list[str]) -> Any:
    packed = source.source() / f"{name}.zip"
    data = zipfile.ZipFile(packed).read(name) if packed.exists() else (source.source() / name).read_bytes()
    return pl.read_csv(io.BytesIO(data), columns=columns, null_values=["NA"], infer_schema_length=None)


def _numbers(pl: Any, frame: Any) -> Any:
    departure, wind = pl.col("scheduled_departure").dt, pl.col("wind_dir") / 360 * 2 * np.pi
    columns = {
        **{name: pl.col(name).cast(pl.Float64) for name in features.PLAIN},
        **{name: (pl.col(name).clip(0) + offset).log() for name, offset in features.CROWDED.items()},
        "departure": (departure.hour().cast(pl.Float64) * 60 + departure.minute()),
        "arrival": pl.col("scheduled_arrival_minute").cast(pl.Float64),
        "wind_east": wind.sin() * pl.col("wind_speed"),
        "wind_north": wind.cos() * pl.col("wind_speed"),
    }
    found = frame.select(**columns)
    limit = features.LIMIT
    scaled = ((pl.all() - pl.all().mean()) / pl.all().std(ddof=0)).fill_null(0).clip(-limit, limit)
    return found.select(scaled.cast(pl.Float32)).to_numpy()


def _categories(pl: Any, frame: Any) -> Any:
    columns = [pl.col(name) for name in ("carrier", "origin", "dest", "weekday")]
    columns.append(pl.col("scheduled_departure").dt.hour().alias("hour"))
    columns += [pl.col(name).is_null().alias(f"no_{name}") for name in features.MISSABLE]
    return frame.select(column.rank("dense").cast(pl.Int64) for column in columns).to_numpy()


def main() -> None:
    ways: dict[str, Callable[[Path], Arrays]] = {"ours": ours, "pandas": pandas, "polars": polars}
    with tempfile.TemporaryDirectory() as folder:
        made = ways[sys.argv[1]](Path(folder))
    sums = {name: array.sum(axis=0, dtype="float64").tolist() for name, array in made.items()}
    place = np.linspace(0, 1, len(made["numbers"]))
    weighed = {name: (place @ array.astype("float64")).tolist() for name, array in made.items()}
    print(json.dumps({"rows": len(made["numbers"]), "parts": parts, "sums": sums, "weighed": weighed}))


if __name__ == "__main__":
    main()
