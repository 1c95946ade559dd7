"""Scores and reasons as tables with the columns of the files."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from sailplane.bundles.columns import plain_records
from sailplane.datasets.schema import ARROW
from sailplane.predictions.columns import INPUTS, PARTITION, REASON, ROW, VERSION, Columns
from sailplane.predictions.rows import Scored


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Rows of a partition with the model's results; `first` is the position of the first row in the partition."""

    day: str
    first: int
    frame: pd.DataFrame
    found: Scored

    def scores(self, columns: Columns, version: str) -> pa.Table:
        positions = self.found.indices.tolist()
        values = self._identity(columns, positions)
        values |= {name: self.found.scores[:, number] for number, name in enumerate(columns.outputs)}
        return pa.table({**values, VERSION: [version] * len(positions)}, schema=columns.scores)

    def rejected(self, columns: Columns, version: str) -> pa.Table:
        positions = sorted(self.found.reasons)
        requests = plain_records(self.frame.iloc[positions], columns.input_fields)
        values = {
            **self._identity(columns, positions),
            VERSION: [version] * len(positions),
            REASON: [self.found.reasons[position] for position in positions],
            INPUTS: [json.dumps(request) for request in requests],
        }
        return pa.table(values, schema=columns.rejected)

    def _identity(self, columns: Columns, positions: list[int]) -> dict[str, object]:
        names = [field.name for field in columns.carried]
        schema = pa.schema([(field.name, ARROW[field.kind]) for field in columns.carried])
        carried = pa.Table.from_pandas(self.frame[names].iloc[positions], schema, preserve_index=False)
        numbers = [self.first + position for position in positions]
        known = dict(zip(names, carried.columns, strict=True))
        return {PARTITION: [self.day] * len(positions), ROW: numbers, **known}
