"""Checks a frame against its pandera schema: good rows, and bad rows with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sailplane.datasets.schema import PANDAS, fields
from sailplane.datasets.types import EXPECTED, typed
from sailplane.errors import SchemaError
from sailplane.records import Field

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

REASON = "reason"
Reasons = dict[int, list[str]]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The rows of a frame, checked. `good` has the schema's columns in the kinds' types; `bad` has all columns as text,
    and REASON. Their index is the row's position in the frame; `times` [n] are the times of all its rows, null if
    unknown."""

    good: pd.DataFrame
    bad: pd.DataFrame
    times: pd.Series[Any]


def check(frame: pd.DataFrame, schema: DataFrameSchema, time: str) -> Checked:
    """Separates good rows from bad ones. Raises SchemaError if no row can pass: a missing column, a column of a wrong
    type, a check that raises."""
    columns = fields(schema)
    frame = frame.reset_index(drop=True)
    _check_columns(frame, columns)
    values = {field.name: typed(frame[field.name], field) for field in columns}
    reasons = _type_reasons(frame, values, columns)
    rows = np.setdiff1d(np.arange(len(frame)), list(reasons))
    good = pd.DataFrame({field.name: values[field.name].iloc[rows].astype(_dtype(field)) for field in columns})
    failures = _check_reasons(good, schema)
    reasons |= failures
    good = good.drop(index=list(failures))
    bad = frame.loc[sorted(reasons)].astype("str")
    bad[REASON] = ["; ".join(reasons[row]) for row in bad.index]
    return Checked(good=good, bad=bad, times=values[time])


def _check_columns(frame: pd.DataFrame, columns: tuple[Field, ...]) -> None:
    for field in columns:
        found = int(np.count_nonzero(frame.columns == field.name))
        if found != 1:
            raise SchemaError(
                "read column",
                repr(field.name),
                got="it is missing" if not found else f"it occurs {found} times",
                expected=f"the columns {', '.join(column.name for column in columns)}",
                remedy="Return it from extract, or change the schema.",
            )


def _type_reasons(frame: pd.DataFrame, values: dict[str, pd.Series[Any]], columns: tuple[Field, ...]) -> Reasons:
    reasons: Reasons = {}
    for field in columns:
        null, given = values[field.name].isna().to_numpy(), frame[field.name].notna().to_numpy()
        for row in np.flatnonzero(null & given):
            value = frame[field.name].iloc[row]
            reasons.setdefault(int(row), []).append(f"{field.name}: not {EXPECTED[field.kind]}: {value!r}")
        for row in () if field.nullable else np.flatnonzero(null & ~given):
            reasons.setdefault(int(row), []).append(f"{field.name}: not_nullable: null")
    return reasons


def _check_reasons(good: pd.DataFrame, schema: DataFrameSchema) -> Reasons:
    from pandera.errors import SchemaErrors

    if good.empty:
        return {}
    # Types are settled already: pandera only runs the checks, on the types that the dataset will hold.
    settled = schema.update_columns({field.name: {"dtype": _dtype(field)} for field in fields(schema)})
    try:
        settled.validate(good, lazy=True)
    except SchemaErrors as errors:
        return _reasons(errors.failure_cases)
    return {}


def _reasons(failures: pd.DataFrame) -> Reasons:
    reasons: Reasons = {}
    for failure in failures.to_dict("records"):
        column, rule, value = failure["column"], failure["check"], failure["failure_case"]
        by_column = failure["schema_context"] == "Column"
        if pd.isna(failure["index"]):
            raise SchemaError(
                "check",
                repr(column) if by_column else "the frame",
                got=f"{rule}: {value}",
                expected="a check that passes, or that names the failing rows",
                remedy="Correct the data in extract, or the check in the schema.",
            )
        listed = reasons.setdefault(int(failure["index"]), [])
        reason = f"{column}: {rule}: {_short(value)}" if by_column else str(rule)
        if reason not in listed:
            listed.append(reason)
    return reasons


def _dtype(field: Field) -> Any:
    return PANDAS[field.kind][field.nullable]


def _short(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
