"""A pandera schema in Sailplane's five kinds of columns, and what pandas and Arrow call them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa

from sailplane.errors import ConfigurationError
from sailplane.records import Field, FieldKind

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

# (of columns that are never null, of columns that may be)
PANDAS: Final[dict[FieldKind, tuple[str, str]]] = {
    "number": ("float64", "float64"),
    "integer": ("int64", "Int64"),
    "string": ("str", "str"),
    "boolean": ("bool", "boolean"),
    "timestamp": ("datetime64[us, UTC]", "datetime64[us, UTC]"),
}

ARROW: Final[dict[FieldKind, Any]] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def fields(schema: DataFrameSchema) -> tuple[Field, ...]:
    """The schema's columns in their order. Raises ConfigurationError for a type that no kind holds."""
    return tuple(
        Field(name=str(name), kind=_kind(str(name), column), nullable=bool(column.nullable))
        for name, column in schema.columns.items()
    )


def fingerprint(schema: DataFrameSchema) -> str:
    """Changes with a column, a type or a check (by its name and arguments; the inside of a lambda is not seen)."""
    parts = [_checks(schema.checks), str(schema.unique), str(schema.strict)]
    for name, column in schema.columns.items():
        parts.append(f"{name} {column.dtype} {column.nullable} {column.unique} {_checks(column.checks)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _checks(checks: Any) -> str:
    listed = checks if isinstance(checks, (list, tuple)) else [checks]
    return str([(check.name, sorted((check.statistics or {}).items())) for check in listed if check is not None])


def _kind(name: str, column: Any) -> FieldKind:
    dtype = getattr(column.dtype, "type", None)
    tests: dict[FieldKind, Any] = {
        "boolean": pd.api.types.is_bool_dtype,
        "integer": pd.api.types.is_integer_dtype,
        "number": pd.api.types.is_float_dtype,
        "timestamp": pd.api.types.is_datetime64_any_dtype,
        "string": pd.api.types.is_string_dtype,
    }
    if dtype is not None and str(dtype) != "object" and not column.regex:
        for kind, holds in tests.items():
            if holds(dtype):
                return kind
    raise ConfigurationError(
        "read the schema's column",
        repr(name),
        got="a regular expression" if column.regex else f"type {column.dtype}",
        expected="float, int, str, bool, or pd.DatetimeTZDtype('us', 'UTC')",
        remedy="Give the column one of these types.",
    )
