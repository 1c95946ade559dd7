"""Reads predictions as frames, for later tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow as pa

from sailplane.datasets.partitions import read_file, scan_file
from sailplane.datasets.schema import PANDAS
from sailplane.datasets.versions import THREADS
from sailplane.predictions.columns import ROW, Columns
from sailplane.predictions.manifest import PredictionsManifest
from sailplane.records import Field, Predictions
from sailplane.storage import Storage


def load(storage: Storage, predictions: Predictions) -> pd.DataFrame:
    """The rows with a score, by day and in the order of the dataset. Raises DataError for missing or damaged files."""
    listed = PredictionsManifest(storage, predictions)
    return _read(storage, [(day.scores, day.digest) for day in listed.days], listed.carried)


def scan(storage: Storage, predictions: Predictions, rows: int) -> Iterator[pd.DataFrame]:
    """The rows of `load`, in frames of at most `rows`."""
    listed = PredictionsManifest(storage, predictions)
    for day in listed.days:
        for table in scan_file(storage, day.scores, day.digest, rows):
            yield _frame([table], listed.carried)


def rejected(storage: Storage, predictions: Predictions) -> pd.DataFrame:
    """The rows without a score, each with its `reason`, and the refused request in `inputs`."""
    listed = PredictionsManifest(storage, predictions)
    files = [(day.rejected, day.rejected_digest) for day in listed.days if day.rejected and day.rejected_digest]
    none = Columns(inputs=(), carried=tuple(listed.carried), read=(), outputs=()).rejected.empty_table()
    return _read(storage, files, listed.carried) if files else _frame([none], listed.carried)


def _read(storage: Storage, files: Sequence[tuple[str, str]], carried: Sequence[Field]) -> pd.DataFrame:
    with ThreadPoolExecutor(THREADS) as threads:
        tables = list(threads.map(lambda file: read_file(storage, *file), files))
    return _frame(tables, carried)


def _frame(tables: list[pa.Table], carried: Sequence[Field]) -> pd.DataFrame:
    # Otherwise integers with nulls would become rounded floats.
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas(types_mapper=nullable.get)
    return frame.astype({ROW: "int64", **{field.name: PANDAS[field.kind][field.nullable] for field in carried}})
