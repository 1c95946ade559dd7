"""Rows as numpy arrays by field: the input of `transform(columns, state)`, in training and in serving.

| kind | never null | may be null |
|---|---|---|
| number | float64 | float64, NaN |
| integer | int64 | float64, NaN |
| boolean | bool | float64, NaN |
| string | object | object, None |
| timestamp | datetime64[us], UTC | datetime64[us], NaT |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sailplane.records import Field, FieldKind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# (for fields never null, for nullable fields). Constant, so that one row gives the same features as many.
_DTYPES: Final[dict[FieldKind, tuple[str, str]]] = {
    "number": ("float64", "float64"),
    "integer": ("int64", "float64"),
    "boolean": ("bool", "float64"),
    "string": ("object", "object"),
    "timestamp": ("datetime64[us]", "datetime64[us]"),
}


def arrays_of_values(columns: Mapping[str, Sequence[Any]], inputs: Sequence[Field]) -> dict[str, NDArray[Any]]:
    """Arrays of the values from `columns.read`."""
    return {field.name: _array_of(columns[field.name], field) for field in inputs}


def arrays_of_frame(frame: pd.DataFrame, fields: Sequence[Field]) -> dict[str, NDArray[Any]]:
    """Arrays of the frame's fields."""
    return {field.name: _array(frame[field.name], field) for field in fields if field.name in frame}


def _array_of(values: Sequence[Any], field: Field) -> NDArray[Any]:
    import numpy as np

    if field.kind == "timestamp":  # numpy has no time zones
        values = [None if time is None else time.replace(tzinfo=None) for time in values]
    # It converts None to NaN and NaT.
    return np.array(values, dtype=_dtype(field))


def _array(column: pd.Series[Any], field: Field) -> NDArray[Any]:
    dtype: Any = _dtype(field)
    if field.kind == "timestamp":
        return (column.dt.tz_convert(None) if column.dt.tz is not None else column).to_numpy(dtype)
    if field.kind == "string":
        texts: pd.Series[Any] = column.astype("object")
        return texts.where(column.notna(), None).to_numpy(dtype)
    if dtype == "float64":
        return column.to_numpy(dtype, na_value=float("nan"))
    return column.to_numpy(dtype)


def _dtype(field: Field) -> str:
    return _DTYPES[field.kind][field.nullable]
