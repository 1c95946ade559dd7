"""The rows of one call of `extract`, split into days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from sailplane.datasets.schema import ARROW
from sailplane.datasets.validation import REASON, Checked
from sailplane.records import Field, Interval

DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class ExtractedRows:
    """`whole` has the good rows, in order of time, and the bad rows of each day with good rows. `empty` lists the days
    without rows. `rejected` has the most frequent reason of each day that has only bad rows."""

    whole: Mapping[datetime, tuple[pa.Table, pa.Table]]
    empty: Sequence[datetime]
    rejected: Mapping[datetime, str]


def split(checked: Checked, interval: Interval, time: str, columns: Sequence[Field]) -> ExtractedRows:
    """Splits the checked rows of `interval` into days. All times must lie within it or be null."""
    day_numbers = ((checked.times - interval.start) // DAY).fillna(0).to_numpy("int64")
    good = checked.good.sort_values(time, kind="stable")
    bad = checked.bad.iloc[np.argsort(day_numbers[checked.bad.index], kind="stable")]
    good_table = pa.Table.from_pandas(good, _schema(columns), preserve_index=False)
    bad_table = pa.Table.from_pandas(bad, pa.schema([(name, pa.string()) for name in bad]), preserve_index=False)
    good_cuts, bad_cuts = _cuts(day_numbers[good.index], interval), _cuts(day_numbers[bad.index], interval)
    whole, empty, rejected = {}, [], {}
    for day, good_rows, bad_rows in zip(interval.days, good_cuts, bad_cuts, strict=True):
        if good_rows.stop > good_rows.start:
            whole[day] = (_cut(good_table, good_rows), _cut(bad_table, bad_rows))
        elif bad_rows.stop > bad_rows.start:
            rejected[day] = _most_frequent(bad[REASON].iloc[bad_rows])
        else:
            empty.append(day)
    return ExtractedRows(whole=whole, empty=empty, rejected=rejected)


def _schema(columns: Sequence[Field]) -> pa.Schema:
    return pa.schema([(field.name, ARROW[field.kind]) for field in columns])


def _cuts(ascending: NDArray[np.integer[Any]], interval: Interval) -> list[slice]:
    """The rows of each day; `ascending` [n] has the day number of each row."""
    bounds = np.searchsorted(ascending, np.arange(len(interval.days) + 1)).tolist()
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def _cut(table: pa.Table, rows: slice) -> pa.Table:
    return table.slice(rows.start, rows.stop - rows.start)


def _most_frequent(reasons: pd.Series[str]) -> str:
    """The most frequent reason with an example value, like "distance: greater_than(0): -5 (12 of 13 rows)"."""
    each = [reason for row in reasons for reason in row.split("; ")]
    (rule, count), *_ = Counter(reason.rpartition(": ")[0] for reason in each).most_common(1)
    first = next(reason for reason in each if reason.rpartition(": ")[0] == rule)
    return f"{first} ({count} of {len(reasons)} rows)"
