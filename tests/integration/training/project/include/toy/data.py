"""A table in which `good` depends on `height`, and every tenth row has no label."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from pandera.pandas import Column, DataFrameSchema

SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "height": Column(float),
        "good": Column("boolean", nullable=True),
    }
)
ROWS_A_DAY = 48


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    days = pd.date_range(start, end, freq="D", inclusive="left")
    frame = pd.concat([_day(day) for day in days], ignore_index=True)
    frame["time"] = frame["time"].astype(pd.DatetimeTZDtype("us", "UTC"))
    return frame


def _day(day: pd.Timestamp) -> pd.DataFrame:
    draw = np.random.default_rng(int(day.timestamp()))
    height = draw.normal(size=ROWS_A_DAY)
    good = pd.array(height + draw.normal(size=ROWS_A_DAY) > 0, dtype="boolean")
    good[::10] = pd.NA
    return pd.DataFrame({"time": pd.date_range(day, periods=ROWS_A_DAY, freq="30min"), "height": height, "good": good})
