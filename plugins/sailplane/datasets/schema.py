"""Pandera schemas as Sailplane's five kinds of columns, and their pandas and Arrow types."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa

from sailplane.datasets import checks
from sailplane.errors import ConfigurationError
from sailplane.records import Field, FieldKind

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

# (if never null, if nullable)
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
    """The schema's columns in order, with the checks that also apply to requests. Raises ConfigurationError for a type
    outside the five kinds."""
    return tuple(_field(str(name), column) for name, column in schema.columns.items())


def unchecked(schema: DataFrameSchema) -> tuple[str, ...]:
    """Descriptions of the schema's checks that cannot apply to requests."""
    kinds = {field.name: (field.kind, PANDAS[field.kind][True]) for field in fields(schema)}
    return checks.unchecked(schema, kinds)


def _field(name: str, column: Any) -> Field:
    kind = _kind(name, column)
    found = checks.column_checks(column, kind, PANDAS[kind][True])
    return Field(name=name, kind=kind, nullable=bool(column.nullable), checks=found)


def fingerprint(schema: DataFrameSchema) -> str:
    """A digest of the columns, their types and their checks by name and arguments; it does not cover the code of a
    lambda."""
    parts = [_checks(schema.checks), str(schema.unique), str(schema.strict)]
    for name, column in schema.columns.items():
        parts.append(f"{name} {column.dtype} {column.nullable} {column.unique} {_checks(column.checks)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def key(schema: DataFrameSchema) -> tuple[str, ...]:
    """The columns that identify a row, if the schema defines them."""
    together = [schema.unique] if isinstance(schema.unique, str) else list(schema.unique or ())
    return tuple(together or [str(name) for name, column in schema.columns.items() if column.unique][:1])


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
