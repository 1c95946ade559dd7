"""JSON lines in UTF-8, block by block. An empty file has no rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.json

from sailplane.datasets.schema import ARROW
from sailplane.datasets.text import BLOCK_BYTES
from sailplane.datasets.unreadable import broken
from sailplane.errors import SchemaError
from sailplane.records import Field

LONGEST_LINE: Final = 16 * BLOCK_BYTES


def json_frames(uri: str, blocks: Iterator[bytes], columns: Sequence[Field]) -> Iterator[pd.DataFrame]:
    """The rows in frames, one JSON object per line. A missing key is null. Raises SchemaError if all rows lack a column
    that is not nullable."""
    line, rows = 1, 0
    unseen = {field.name for field in columns if not field.nullable}
    for block in _whole_lines(uri, blocks):
        frame = _json_frame(uri, block, columns, line)
        line += block.count(b"\n")
        rows += len(frame)
        unseen -= {name for name in unseen if frame[name].notna().any()}
        yield frame
    if rows and unseen:
        raise SchemaError(
            "read",
            uri,
            got=f"none of its {rows} rows has a {' or a '.join(sorted(map(repr, unseen)))}",
            expected="values in a column that is not nullable",
            remedy="Correct the file, or change the schema.",
        )


def _whole_lines(uri: str, blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        lines, newline, rest = (rest + block).rpartition(b"\n")
        if newline:
            yield lines + newline
        if len(rest) > LONGEST_LINE:
            raise broken(uri, f"a line of more than {LONGEST_LINE >> 20} MiB; expected one JSON object a line")
    if rest.strip():
        yield rest


def _json_frame(uri: str, block: bytes, columns: Sequence[Field], line: int) -> pd.DataFrame:
    # Times stay text, because zones may differ within a column.
    types = [(field.name, pa.string() if field.kind == "timestamp" else ARROW[field.kind]) for field in columns]
    try:
        table = pyarrow.json.read_json(
            pa.BufferReader(block),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=pa.schema(types), unexpected_field_behavior="ignore"
            ),
        )
        # The parser accepts any bytes as text.
        table.validate(full=True)
    except pa.ArrowException:
        # If any value has another type, all values stay as they are, so that only the bad rows fail the checks.
        return _json_objects(uri, block, columns, line)
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _json_objects(uri: str, block: bytes, columns: Sequence[Field], first: int) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(block.split(b"\n"), first):
        if line.strip():
            rows.append(_json_object(uri, line, columns, number))
    return pd.DataFrame(rows, columns=[field.name for field in columns], dtype=object)


def _json_object(uri: str, line: bytes, columns: Sequence[Field], number: int) -> list[Any]:
    try:
        row = json.loads(line)
        values = [row.get(field.name) for field in columns] if isinstance(row, dict) else None
        # JSON can encode half a surrogate pair, which no column can hold.
        "".join(value for value in values or () if isinstance(value, str)).encode()
    except (ValueError, RecursionError) as error:
        raise broken(uri, f"line {number}: {error}") from error
    if values is None:
        raise broken(uri, f"line {number}: {type(row).__name__}; expected one JSON object a line")
    return values
