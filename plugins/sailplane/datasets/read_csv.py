"""CSV and TSV in UTF-8, block by block. An empty file has no rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from sailplane.datasets.text import BLOCK_BYTES, Pieces
from sailplane.datasets.unreadable import broken, check_columns
from sailplane.records import Field

# Texts that mean null in columns other than text, as in pandas' and Arrow's readers.
NULLS: Final = pa.array(
    ["", "NA", "N/A", "n/a", "<NA>", "#N/A", "NULL", "null", "None", "NaN", "nan", "-NaN", "-nan"], pa.string()
)
TRUE: Final = pa.array(["true", "1"])
FALSE: Final = pa.array(["false", "0"])
# A row of these is appended to the file. If it is not the last row that is read, a quote was left open.
_END: Final = "\x04"


def csv_frames(
    uri: str, blocks: Iterator[bytes], columns: Sequence[Field], *, delimiter: str
) -> Iterator[pd.DataFrame]:
    """The rows in frames. All values are text, except true and false. Quoted values may hold newlines; a row of another
    length is an error."""
    first = next(blocks)
    header = _header(first, delimiter)
    if not header:
        return
    check_columns(uri, header, columns)
    end = "\n" + delimiter.join([_END] * len(header)) + "\n"
    held = None
    for batch in _csv_batches(chain([first], blocks, [end.encode()]), columns, delimiter):
        if held is not None:
            yield _text_frame(held, columns)
        held = batch
    if held is None or set(held.slice(held.num_rows - 1).to_pylist()[0].values()) != {_END}:
        raise broken(uri, "a quote is not closed")
    yield _text_frame(held.slice(0, held.num_rows - 1), columns)


def _header(block: bytes, delimiter: str) -> list[str]:
    text = io.StringIO(block.decode("utf-8", "replace"), newline="")
    return next((row for row in csv.reader(text, delimiter=delimiter) if row), [])


def _csv_batches(pieces: Iterable[bytes], columns: Sequence[Field], delimiter: str) -> Iterator[pa.RecordBatch]:
    names = [field.name for field in columns]
    reader = pyarrow.csv.open_csv(
        pa.PythonFile(io.BufferedReader(Pieces(pieces), BLOCK_BYTES), mode="r"),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=names,
            # Guessed types would differ between files, and 007 would become a number.
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return (batch for batch in reader if batch.num_rows)


def _text_frame(batch: pa.RecordBatch, columns: Sequence[Field]) -> pd.DataFrame:
    return pd.DataFrame({field.name: _value(batch.column(field.name), field) for field in columns})


def _value(column: pa.Array, field: Field) -> pd.Series[Any]:
    if field.kind == "string":
        return _text(column)
    given = pc.if_else(pc.is_in(column, NULLS), pa.scalar(None, pa.string()), column)
    return _booleans(given) if field.kind == "boolean" else _text(given)


def _booleans(column: pa.Array) -> pd.Series[Any]:
    """Values other than true and false stay text."""
    values = pc.utf8_lower(column)
    known = pc.if_else(
        pc.is_in(values, TRUE), True, pc.if_else(pc.is_in(values, FALSE), False, pa.scalar(None, pa.bool_()))
    )
    booleans: pd.Series[Any] = known.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    if known.null_count == column.null_count:
        return booleans
    return booleans.astype(object).where(booleans.notna(), _text(column).astype(object))


def _text(column: pa.Array) -> pd.Series[Any]:
    series: pd.Series[Any] = column.to_pandas()
    return series.astype("str")
