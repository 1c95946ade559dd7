"""A column from extract, converted to the schema's type."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, Final

import numpy as np
import pandas as pd

from sailplane.errors import SchemaError
from sailplane.records import Field, FieldKind

EXPECTED: Final[dict[FieldKind, str]] = {
    "number": "a finite number",
    "integer": "a whole number of at most 64 bits",
    "string": "a string",
    "boolean": "true or false",
    "timestamp": "a time with its time zone, like 2013-07-05T14:00:00Z",
}


def typed(column: pd.Series[Any], field: Field) -> pd.Series[Any]:
    """The values in the kind's nullable type; values of another type become null.

    Raises SchemaError if all values have another type, or for times without a time zone.
    """
    if field.kind == "timestamp" and isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        raise _wrong(column, field, "times without a time zone", f'Use frame["{field.name}"].dt.tz_localize("UTC").')
    values = _READERS[field.kind](column)
    known = column.notna()
    if known.any() and not values[known].notna().any():
        raise _wrong(
            column,
            field,
            f"type {column.dtype}, like {column[known].iloc[0]!r}",
            "Convert it in extract, or change its type in the schema.",
        )
    return values


def _number(column: pd.Series[Any]) -> pd.Series[Any]:
    numbers = pd.Series(_numeric(column).to_numpy("float64", na_value=np.nan), index=column.index)
    return numbers.where(np.isfinite(numbers))


def _integer(column: pd.Series[Any]) -> pd.Series[Any]:
    numbers = _numeric(column)
    if pd.api.types.is_integer_dtype(numbers.dtype) and numbers.dtype not in ("uint64", "UInt64"):
        return numbers.astype("Int64")
    floats = pd.Series(numbers.to_numpy("float64", na_value=np.nan), index=column.index)
    whole = (floats % 1 == 0) & (floats.abs() < 2**63)
    return floats.where(whole).astype("Int64")


def _numeric(column: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    if not (pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype)):
        return _all_null(column, "Float64")
    numbers: pd.Series[Any] = pd.to_numeric(column, errors="coerce", dtype_backend="numpy_nullable")
    return numbers


def _string(column: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    if isinstance(column.dtype, pd.StringDtype):
        return column.astype("str")
    if not pd.api.types.is_object_dtype(column.dtype):
        return _all_null(column, "str")
    return column.where(column.map(lambda value: isinstance(value, str))).astype("str")


def _boolean(column: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("boolean")
    if not pd.api.types.is_object_dtype(column.dtype):
        return _all_null(column, "boolean")
    return column.where(column.map(lambda value: isinstance(value, (bool, np.bool_)))).astype("boolean")


def timestamps(column: pd.Series[Any]) -> pd.Series[Any]:
    """Times in UTC; other values become null. Text is read as ISO 8601, in UTC if it has no zone."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        times = column
    elif pd.api.types.is_object_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype):
        if pd.api.types.is_object_dtype(column.dtype):
            # A number among times has no unit: pandas would choose one.
            column = column.where(~column.map(lambda value: isinstance(value, Real)).astype(bool))
        times = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    else:
        times = _all_null(column, "datetime64[us, UTC]")
    in_utc: pd.Series[Any] = times.dt.tz_convert("UTC").dt.as_unit("us")
    return in_utc


def _all_null(column: pd.Series[Any], dtype: str) -> pd.Series[Any]:
    return pd.Series(index=column.index, dtype=dtype)


_READERS: Final[dict[FieldKind, Callable[[pd.Series[Any]], pd.Series[Any]]]] = {
    "number": _number,
    "integer": _integer,
    "string": _string,
    "boolean": _boolean,
    "timestamp": timestamps,
}


def _wrong(column: pd.Series[Any], field: Field, got: str, remedy: str) -> SchemaError:
    return SchemaError("read column", repr(column.name), got=got, expected=EXPECTED[field.kind], remedy=remedy)
