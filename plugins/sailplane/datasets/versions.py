"""Dataset versions: the manifest `datasets/<name>/versions/<version>.json` lists the partitions."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from sailplane.datasets import partitions as partitioned
from sailplane.datasets.partitions import Partition, read
from sailplane.datasets.schema import PANDAS
from sailplane.errors import DataError
from sailplane.records import Dataset, Field, Interval, Windows
from sailplane.storage import Storage
from sailplane.storage.store import NOT_MOVED

THREADS = 8
MAKE_AGAIN: Final = "Delete it and ingest its days again, or restore it from a backup of the store."


def publish(
    storage: Storage,
    name: str,
    interval: Interval,
    columns: tuple[Field, ...],
    partitions: Sequence[Partition],
    revised: tuple[str, ...] = (),
    unchecked: tuple[str, ...] = (),
) -> Dataset:
    """Writes the manifest of a version. Equal partitions and columns give an equal version, which is written once. For
    `revised` and `unchecked` see `Dataset`."""
    # The checks are left out, because the version depends only on the data.
    schema = [replace(field, checks=()).content() for field in columns]
    content = json.dumps([schema, [[partition.day, partition.digest] for partition in partitions]])
    version = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = f"datasets/{name}/versions/{version}.json"
    listed = [vars(partition) for partition in partitions]
    manifest = {"name": name, "version": version, **interval.content(), "schema": schema, "partitions": listed}
    storage.keep(path, json.dumps(manifest, indent=1).encode())
    return Dataset(
        name=name,
        version=version,
        uri=storage.uri(path),
        interval=interval,
        rows=sum(partition.rows for partition in partitions),
        quarantined=sum(partition.quarantined for partition in partitions),
        schema=columns,
        revised=revised,
        unchecked=unchecked,
        windows=Windows.of(interval),
    )


def load(storage: Storage, dataset: Dataset, interval: Interval | None = None) -> pd.DataFrame:
    """The rows of the days of `interval` (by default the dataset's), in order of time.

    Columns are float64, int64, str, bool and datetime64[us, UTC]; Int64 and boolean where they may be null.
    Raises DataError for days outside the version, or a missing or damaged partition.
    """
    partitions = partitions_of(storage, dataset, interval or dataset.interval)
    with ThreadPoolExecutor(THREADS) as threads:
        tables = list(threads.map(lambda partition: read(storage, dataset.name, partition), partitions))
    return _frame(tables, dataset.schema)


def scan(
    storage: Storage, dataset: Dataset, interval: Interval, rows: int, shuffled: random.Random | None = None
) -> Iterator[pd.DataFrame]:
    """The rows of `load`, in frames of at most `rows`; days in random order if `shuffled` is given."""
    partitions = partitions_of(storage, dataset, interval)
    if shuffled:
        shuffled.shuffle(partitions)
    for partition in partitions:
        yield from frames(storage, dataset, partition, rows)


def frames(storage: Storage, dataset: Dataset, partition: Partition, rows: int) -> Iterator[pd.DataFrame]:
    """The rows of one day in frames of at most `rows`; reads only the columns of the dataset's schema."""
    columns = [field.name for field in dataset.schema]
    for table in partitioned.scan(storage, dataset.name, partition, rows, columns):
        yield _frame([table], dataset.schema)


def partitions_of(storage: Storage, dataset: Dataset, interval: Interval) -> list[Partition]:
    """The partitions of the interval's days. Raises DataError for a day outside the version."""
    try:
        listed = storage.read_json(storage.path(dataset.uri), listed_in, MAKE_AGAIN)
    except FileNotFoundError as error:
        raise DataError(
            "load dataset", dataset.uri, got="it is gone", remedy=f"Ingest it again. {NOT_MOVED}"
        ) from error
    held = {partition.day: partition for partition in listed}
    days = [f"{day:%Y-%m-%d}" for day in interval.days]
    if not days or not whole_days(interval) or not set(days) <= set(held):
        raise DataError(
            "load dataset",
            f"{dataset.name} {dataset.version}",
            got=f"{interval.start.isoformat()}..{interval.end.isoformat()}",
            expected=f"whole days within {dataset.interval}",
            remedy="Request days that were ingested.",
        )
    return [held[day] for day in days]


def listed_in(manifest: Any) -> list[Partition]:
    """The partitions in a version's manifest."""
    return [Partition.from_dict(values) for values in manifest["partitions"]]


def whole_days(interval: Interval) -> bool:
    """Whether the interval goes from midnight to midnight, UTC."""
    return all(
        bound.utcoffset() == timedelta(0) and bound.time() == datetime.min.time()
        for bound in (interval.start, interval.end)
    )


def _frame(tables: list[pa.Table], columns: tuple[Field, ...]) -> pd.DataFrame:
    table = pa.concat_tables(tables).select([field.name for field in columns])
    # Otherwise integers with nulls would become rounded floats.
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame.astype({field.name: PANDAS[field.kind][field.nullable] for field in columns})
