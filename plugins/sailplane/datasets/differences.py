"""The differences between two versions of a day's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sailplane.records import Record

# A row's position among equal rows: if three equal rows become two, one was removed.
_COUNT = "\0count"


@dataclass(frozen=True, kw_only=True)
class RowDifference(Record):
    """The numbers of rows `added`, `removed` and `changed`; without a key a changed row counts as removed and added.
    `columns` counts the changed rows by column; `schema` describes how the columns differ. Samples are rows as {column:
    value}; those of `changed_rows` are {column: "before -> after"}."""

    day: str
    before: int
    after: int
    added: int
    removed: int
    changed: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    schema: tuple[str, ...] = ()
    added_rows: tuple[Mapping[str, Any], ...] = ()
    removed_rows: tuple[Mapping[str, Any], ...] = ()
    changed_rows: tuple[Mapping[str, Any], ...] = ()


def difference(day: str, before: pa.Table, after: pa.Table, key: Sequence[str], samples: int) -> RowDifference:
    """Compares rows by the `key` columns if both tables have them. Rows with equal keys are compared in order. The
    result holds at most `samples` rows of each kind."""
    shared = [name for name in before.column_names if name in after.column_names]
    old, new = _frame(before, shared), _frame(after, shared)
    by = list(key) if key and set(key) <= set(shared) else shared
    old, new = _numbered(old, by), _numbered(new, by)
    index = [*by, _COUNT]
    old_keys, new_keys = _digests(old[index]), _digests(new[index])
    removed, added = old[~old_keys.isin(new_keys)], new[~new_keys.isin(old_keys)]
    changes = _changes(old.set_index(old_keys), new.set_index(new_keys), by, samples) if by != shared else {}
    return RowDifference(
        day=day,
        before=len(old),
        after=len(new),
        added=len(added),
        removed=len(removed),
        added_rows=_rows(added, samples),
        removed_rows=_rows(removed, samples),
        schema=_schema(before.schema, after.schema),
        **changes,
    )


def _changes(old: pd.DataFrame, new: pd.DataFrame, key: Sequence[str], samples: int) -> dict[str, Any]:
    """Compares the rows whose keys are in both versions."""
    both = old.index.intersection(new.index)
    old, new = old.loc[both], new.loc[both]
    others = [name for name in old if name != _COUNT and name not in key]
    unequal = {name: _unequal(old[name], new[name]) for name in others}
    any_of = np.logical_or.reduce([*unequal.values(), np.zeros(len(both), bool)])
    positions = np.flatnonzero(any_of)[:samples]
    shown = [
        {name: _plain(old[name].iloc[position]) for name in key}
        | {
            name: f"{_plain(old[name].iloc[position])} -> {_plain(new[name].iloc[position])}"
            for name in others
            if unequal[name][position]
        }
        for position in positions
    ]
    columns = {name: int(rows.sum()) for name, rows in unequal.items() if rows.any()}
    return {"changed": int(any_of.sum()), "columns": columns, "changed_rows": tuple(shown)}


def _unequal(old: pd.Series[Any], new: pd.Series[Any]) -> Any:
    before, after = (values.astype(object).where(values.notna(), None) for values in (old, new))
    return np.fromiter((a is not b and a != b for a, b in zip(before, after, strict=True)), bool, len(before))


def _frame(table: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.select(columns).to_pandas(types_mapper=nullable.get)
    return frame


def _numbered(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    digests = _digests(frame[list(by)])
    return frame.assign(**{_COUNT: digests.groupby(digests).cumcount()})


def _digests(frame: pd.DataFrame) -> pd.Series[Any]:
    """One number per row; equal rows have equal numbers."""
    return pd.util.hash_pandas_object(frame, index=False).reset_index(drop=True)


def _rows(frame: pd.DataFrame, samples: int) -> tuple[Mapping[str, Any], ...]:
    shown = frame.drop(columns=_COUNT).head(samples)
    return tuple({str(name): _plain(value) for name, value in row.items()} for row in shown.to_dict("records"))


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def _schema(before: pa.Schema, after: pa.Schema) -> tuple[str, ...]:
    old, new = ({column.name: str(column.type) for column in schema} for schema in (before, after))
    gone = [f"{name} is gone" for name in old if name not in new]
    fresh = [f"{name} is new ({new[name]})" for name in new if name not in old]
    other = [f"{name}: {old[name]} -> {new[name]}" for name in old if name in new and old[name] != new[name]]
    return (*gone, *fresh, *other)
