"""Request values as a frame with the types of the training. Values that do not fit raise RequestError, naming the field
and the row."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from sailplane.errors import RequestError
from sailplane.records import Field, FieldKind

if TYPE_CHECKING:
    import pandas as pd

# Features are float32: larger numbers would become infinite.
LARGEST_NUMBER: Final = 3.4e38

EXPECTED: Final[dict[FieldKind, str]] = {
    "number": "a number between -3.4e38 and 3.4e38",
    "integer": "a whole number of at most 64 bits",
    "string": "a string",
    "boolean": "true or false",
    "timestamp": "a time in ISO 8601, like 2013-07-05T14:00:00Z",
}

# (for fields never null, for nullable fields). Constant, so that one row gives the same features as many.
_DTYPES: dict[FieldKind, tuple[str, str]] = {
    "number": ("float64", "float64"),
    "integer": ("int64", "Int64"),
    "string": ("str", "str"),
    "boolean": ("bool", "boolean"),
    "timestamp": ("datetime64[us, UTC]", "datetime64[us, UTC]"),
}
_PLAIN_DTYPES = {"float64", "int64", "bool"}
# Limits for a shown value and for a list of names, because people read errors.
_LONGEST: Final = 60
_MOST_NAMES: Final = 30


def check_names(names: Sequence[str], inputs: Sequence[Field], where: str = "request") -> None:
    """Raises RequestError for a field that is unknown, given twice, or missing and not optional. `where` locates the
    names in errors."""
    expected = [field.name for field in inputs]
    if names == expected:
        return
    if missing := [field.name for field in inputs if not field.optional and field.name not in names]:
        raise RequestError("read", where, got=f"field {missing[0]!r} is missing", expected=_fields(expected))
    if unknown := [name for name in names if name not in expected]:
        raise RequestError("read", where, got=f"field {shown(unknown[0])} is unknown", expected=_fields(expected))
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise RequestError("read", where, got=f"field {twice!r} is given twice", remedy="Give it once.")


def read(columns: Mapping[str, Sequence[object]], inputs: Sequence[Field], first: int = 0) -> dict[str, list[Any]]:
    """Columns of JSON values as Python values: numbers, strings, times in UTC. A nullable value that is null, NaN or
    missing becomes None. Inputs that the model does not read may be missing too. `first` is the first row's number in
    errors."""
    if len(columns) == len(inputs):
        return {field.name: _read(columns[field.name], field, first) for field in inputs}
    nulls = [None] * len(next(iter(columns.values())))
    return {field.name: _read(columns.get(field.name, nulls), field, first) for field in inputs}


def absent(values: Mapping[str, Sequence[Any]], inputs: Sequence[Field]) -> frozenset[str]:
    """Inputs that must not be null but lack a value in some row; no array and no frame can hold them."""
    fields = (field for field in inputs if not field.required and not field.nullable)
    return frozenset(field.name for field in fields if None in values[field.name])


def typed_frame(values: Mapping[str, Sequence[Any]], inputs: Sequence[Field]) -> pd.DataFrame:
    """The result of `read`, all of one length, as a frame with the inputs' columns in order."""
    import pandas as pd

    return pd.DataFrame({field.name: _typed(values[field.name], field) for field in inputs}, copy=False)


def columns_of(
    records: Sequence[object], inputs: Sequence[Field], where: str = "request", first: int = 0
) -> dict[str, list[object]]:
    """Turns a list of {field: value} into {field: values}. `where` (the list's location) and `first` (its first row's
    number) appear in errors."""
    if not records:
        raise RequestError("read", where, got="no rows", expected="at least one row")
    columns: dict[str, list[object]] = {field.name: [] for field in inputs}
    for row, record in enumerate(records, first):
        if not isinstance(record, Mapping):
            raise RequestError(f"read {where}, row", row, got=shown(record), expected="an object {field: value}")
        if record.keys() != columns.keys():
            check_names([str(name) for name in record], inputs, f"{where}, row {row}")
        for name, column in columns.items():
            column.append(record.get(name))
    return columns


def plain_records(frame: pd.DataFrame, inputs: Sequence[Field]) -> list[dict[str, Any]]:
    """The inverse of `typed_frame`, row by row, in JSON's types."""
    columns = [[_plain(value, field.kind) for value in frame[field.name]] for field in inputs]
    names = [field.name for field in inputs]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _read(values: Sequence[object], field: Field, first: int) -> list[Any]:
    reader, optional = _READERS[field.kind], field.optional
    try:
        if len(values) == 1:  # as most requests have
            [value] = values
            return [None if optional and (value is None or value != value) else reader(value)]
        if optional:
            # Only NaN differs from itself. Clients that can send only numbers use it for null.
            return [None if value is None or value != value else reader(value) for value in values]
        return [reader(value) for value in values]
    except (ValueError, OverflowError) as error:
        row = next(row for row, value in enumerate(values) if not _fits(value, field))
        expected = f"{EXPECTED[field.kind]}{' or null' if field.optional else ''}"
        got = shown(values[row])
        raise RequestError(f"read field {field.name!r} of row {first + row}", got=got, expected=expected) from error


def _fits(value: object, field: Field) -> bool:
    try:
        return (field.optional and (value is None or value != value)) or _READERS[field.kind](value) is not None
    except (ValueError, OverflowError):
        return False


def _typed(values: Sequence[Any], field: Field) -> Any:
    import numpy as np
    import pandas as pd

    dtype: Any = _DTYPES[field.kind][field.nullable]
    # pandas takes ten times as long for values that are arrays already.
    return np.array(values, dtype=dtype) if dtype in _PLAIN_DTYPES else pd.array(values, dtype=dtype)


def _number(value: object) -> float:
    # JSON's types come first: checking numpy's types as well takes ten times as long.
    if type(value) is float and -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        return value
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, int | numbers.Real)):
        raise ValueError(value)
    number = float(value)
    if not abs(number) <= LARGEST_NUMBER:
        raise ValueError(value)
    return number


def _integer(value: object) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    # JSON numbers below -2**63 are read as the float -2**63.
    whole = isinstance(value, int | numbers.Integral) or (
        isinstance(value, float) and value.is_integer() and value > -(2**63)
    )
    if isinstance(value, bool) or not whole or not -(2**63) <= int(value) < 2**63:  # type: ignore[call-overload]
        raise ValueError(value)
    return int(value)  # type: ignore[call-overload,no-any-return]


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    value.encode()  # fails for a lone surrogate: UnicodeEncodeError is a ValueError
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _timestamp(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError(value)
    time = datetime.fromisoformat(value)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


_READERS: dict[FieldKind, Callable[[object], object]] = {
    "number": _number,
    "integer": _integer,
    "string": _string,
    "boolean": _boolean,
    "timestamp": _timestamp,
}


def _plain(value: Any, kind: FieldKind) -> object:
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind == "timestamp":
        time = pd.Timestamp(value)
        return (time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")).isoformat()
    plain: dict[FieldKind, Callable[[Any], object]] = {"number": float, "integer": int, "string": str, "boolean": bool}
    return plain[kind](value)


def shown(value: object) -> str:
    """A value of a request in JSON, shortened if it is long, deep or strange."""
    if isinstance(value, str):
        text = repr(value[: _LONGEST + 1])
    elif value is None or isinstance(value, bool | list | tuple | Mapping):
        text = _as_json(value)
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def listed(names: Collection[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(islice(names, _MOST_NAMES)) + (f" and {more} more" if more > 0 else "")


def _fields(names: Collection[str]) -> str:
    return f"the fields {listed(names)}"


def _as_json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # it is too deep
        return "an object" if isinstance(value, Mapping) else "a list"
