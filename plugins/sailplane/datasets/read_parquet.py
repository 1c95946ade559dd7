"""Parquet by batches of rows, with the requested columns only."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from pyarrow import types

from sailplane.datasets.schema import ARROW
from sailplane.datasets.unreadable import check_columns
from sailplane.files import room_for
from sailplane.records import Field, FieldKind

# Larger files are read from the disk.
IN_MEMORY_BYTES: Final = 64 * 2**20
BATCH_ROWS: Final = 2**17

_KINDS: Final[dict[FieldKind, Any]] = {
    "number": (types.is_integer, types.is_floating, types.is_decimal),
    "integer": (types.is_integer, types.is_floating, types.is_decimal),
    "string": (types.is_string, types.is_large_string, types.is_string_view),
    "boolean": (types.is_boolean,),
    "timestamp": (types.is_timestamp, types.is_date),
}


def parquet_frames(uri: str, pieces: Iterable[bytes], columns: Sequence[Field]) -> Iterator[pd.DataFrame]:
    """The rows in frames. Dates, and times without a zone, are read as UTC."""
    names = [field.name for field in columns]
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        with room_for(Path(tempfile.gettempdir())):
            file.writelines(pieces)
        file.seek(0)
        reader = pq.ParquetFile(file)
        check_columns(uri, reader.schema_arrow.names, columns)
        for batch in reader.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
            yield _frame(batch, columns)


def _frame(batch: pa.RecordBatch, columns: Sequence[Field]) -> pd.DataFrame:
    table = pa.table({field.name: _settled(batch.column(field.name), field.kind) for field in columns})
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _settled(column: pa.Array, kind: FieldKind) -> pa.Array:
    """The column in the kind's own type, so that files with different widths or zones combine; unchanged if a value
    does not fit."""
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not types.is_null(column.type) and not any(holds(column.type) for holds in _KINDS[kind]):
        return column
    if types.is_date(column.type) or (types.is_timestamp(column.type) and column.type.tz is None):
        column = pa.compute.assume_timezone(column.cast(pa.timestamp("us"), safe=False), "UTC")
    try:
        return column.cast(ARROW[kind], safe=kind != "timestamp")
    except pa.ArrowInvalid:
        # A value does not fit; the check of the rows will name it.
        return column
