"""Pandera checks as data: a model's bundle carries them and its server applies them to requests."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sailplane.records import Check, FieldKind

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

_LONGEST: Final = 200
# Above this limit some integers have no float.
_EXACT: Final = 2**53
_BOUNDS: Final = frozenset({"value", "min_value", "max_value"})
_COMPARED: Final = frozenset(
    {
        "equal_to",
        "not_equal_to",
        "greater_than",
        "greater_than_or_equal_to",
        "less_than",
        "less_than_or_equal_to",
        "in_range",
    }
)
_OF_TEXT: Final = frozenset({"str_matches", "str_contains", "str_startswith", "str_endswith", "str_length"})
_SEVERAL: Final = frozenset({"isin", "notin"})


class _Stays(Exception):
    """The check has no exact JSON form, so it stays in the schema."""


def column_checks(column: Any, kind: FieldKind, dtype: str) -> tuple[Check, ...]:
    """Pandera's own checks that look at one value at a time. `dtype` is the nullable dtype of this kind."""
    return tuple(check for _, check in _column_checks(column, kind, dtype) if check)


def unchecked(schema: DataFrameSchema, kinds: Mapping[str, tuple[FieldKind, str]]) -> tuple[str, ...]:
    """Descriptions of all other checks: the project's own functions, and checks of a whole column or frame. `kinds`
    gives kind and nullable dtype by column."""
    found = [f"the frame: {_name(check)}" for check in _listed(schema.checks)]
    found += ["the frame: unique"] if schema.unique else []
    for name, column in schema.columns.items():
        found += [f"{name}: {_name(check)}" for check, exact in _column_checks(column, *kinds[str(name)]) if not exact]
        found += [f"{name}: unique"] if column.unique else []
    return tuple(found)


def _column_checks(column: Any, kind: FieldKind, dtype: str) -> Iterator[tuple[Any, Check | None]]:
    for check in _listed(column.checks):
        if check.raise_warning:
            continue  # it rejects no training row
        try:
            yield check, _exact(check, kind, dtype)
        except _Stays:
            yield check, None


def _exact(check: Any, kind: FieldKind, dtype: str) -> Check:
    if not _is_pandera_own(check):
        raise _Stays
    arguments = _arguments(check.name, check._check_kwargs, kind)
    return Check(name=check.name, arguments=arguments, says=_says(check), null=_passes_null(check, dtype))


def _is_pandera_own(check: Any) -> bool:
    """Whether the check is pandera's own and applies to every row, value by value."""
    if check.name is None or not type(check).is_builtin_check(check.name):
        return False
    # A schema copies its checks with pandera's dispatcher, which may not have the functions registered yet.
    builtin, function = type(check).get_builtin_check_fn(check.name), check._check_fn
    own = type(function) is type(builtin) and function.__name__ == check.name
    return own and check.groupby is None and not check.element_wise and check.n_failure_cases is None


def _arguments(name: str, arguments: Mapping[str, Any], kind: FieldKind) -> dict[str, Any]:
    if name in _OF_TEXT and kind == "string":
        return {key: _of_text(key, value) for key, value in arguments.items()}
    if name in _SEVERAL:
        [(key, values)] = arguments.items()
        return {key: _members(values, kind)}
    if name in _COMPARED:
        return {key: _bound(value, kind) if key in _BOUNDS else bool(value) for key, value in arguments.items()}
    raise _Stays


def _of_text(key: str, value: Any) -> Any:
    if key == "pattern":
        return _pattern(value)
    if key == "string" and isinstance(value, tuple) and all(isinstance(text, str) for text in value):
        return list(value)
    if isinstance(value, str) or (key != "string" and (value is None or type(value) is int)):
        return value
    raise _Stays


def _pattern(value: Any) -> dict[str, Any]:
    compiled = value if isinstance(value, re.Pattern) else None
    try:
        compiled = compiled or re.compile(value)
    except (re.error, TypeError) as error:
        raise _Stays from error
    if not isinstance(compiled.pattern, str):
        raise _Stays
    # The pattern includes its flags.
    flags = value.flags & ~re.UNICODE if isinstance(value, re.Pattern) else 0
    return {"regex": compiled.pattern, "flags": int(flags)}


def _members(values: Any, kind: FieldKind) -> list[Any]:
    """The values without nulls, which matter only for null values: `_passes_null` leaves those to pandera."""
    plain = [_plain(value) for value in values if not _is_null(value)]
    floats = kind in ("number", "integer") and any(isinstance(value, float) for value in plain)
    # If any value is a float, pandas compares all of them as floats.
    if floats and not all(isinstance(value, int | float) and abs(value) <= _EXACT for value in plain):
        raise _Stays
    if kind == "timestamp" and any(isinstance(value, str) for value in plain):
        raise _Stays
    # Sorted, since the bundle's digest depends on the order.
    return sorted((_member(value, kind) for value in plain), key=lambda value: (isinstance(value, str), value))


def _member(value: Any, kind: FieldKind) -> Any:
    return _number(value) if kind in ("number", "integer") else _bound(value, kind)


def _bound(value: Any, kind: FieldKind) -> Any:
    value = _plain(value)
    read: dict[FieldKind, Callable[[Any], Any]] = {
        "number": lambda number: _number(float(_number(number))),
        "integer": _number,
        "string": lambda text: _of_type(text, str),
        "boolean": lambda flag: _of_type(flag, bool),
        "timestamp": _time,
    }
    try:
        return read[kind](value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _Stays from error


def _number(value: Any) -> float | int | str:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise _Stays
    # JSON has no infinity.
    return value if isinstance(value, int) or math.isfinite(value) else str(value)


def _time(value: Any) -> str:
    if not isinstance(value, str | datetime):
        raise _Stays
    time = pd.Timestamp(value)
    if time.tzinfo is None and isinstance(value, str):
        time = time.tz_localize("UTC")
    # The column has a zone and no nanoseconds.
    if pd.isna(time) or time.tzinfo is None or time.nanosecond:
        raise _Stays
    return time.tz_convert("UTC").isoformat()


def _of_type(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _Stays
    return value


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value


def _is_null(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _passes_null(check: Any, dtype: str) -> bool:
    """Asks pandera, because the answer depends on the column's type."""
    try:
        return check.ignore_na or bool(check(pd.Series([None], dtype=dtype)).check_passed)
    except Exception:  # so no training row has a null
        return False


def _says(check: Any) -> str:
    text = str(check.error or check.name)
    excluded = [side for side in ("min", "max") if check._check_kwargs.get(f"include_{side}") is False]
    text += f" without {' and '.join(excluded)}" if excluded else ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _name(check: Any) -> str:
    return str(check.error or check.name or "a check without a name")


def _listed(checks: Any) -> list[Any]:
    listed = checks if isinstance(checks, (list, tuple)) else [checks]
    return [check for check in listed if check is not None]
