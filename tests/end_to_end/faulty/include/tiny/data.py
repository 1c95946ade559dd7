"""60 rows a day, in which `good` depends on `height` and `width`, and the faults that they can have."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from include.tiny import faults
from pandera.pandas import Check, Column, DataFrameSchema

ROWS_A_DAY = 60

SCHEMA = DataFrameSchema(
    {
        "time": Column(pd.DatetimeTZDtype("us", "UTC")),
        "height": Column(float, Check.in_range(-10, 10)),
        "width": Column(float),
        "good": Column("boolean", nullable=True),
    }
)


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    days = pd.date_range(start, end, freq="D", inclusive="left")
    frame = pd.concat([_day(day) for day in days], ignore_index=True)
    frame["time"] = frame["time"].astype(pd.DatetimeTZDtype("us", "UTC"))
    return _spoiled(frame, faults.of(f"{end:%Y-%m-%d}"), (end - timedelta(days=10)).date())


def _day(day: pd.Timestamp) -> pd.DataFrame:
    draw = np.random.default_rng(int(day.timestamp()))
    height, width, noise = draw.normal(size=(3, ROWS_A_DAY))
    good = pd.array(height + width + noise / 2 > 0, dtype="boolean")
    times = pd.date_range(day, periods=ROWS_A_DAY, freq="20min")
    return pd.DataFrame({"time": times, "height": height, "width": width, "good": good})


def _spoiled(frame: pd.DataFrame, fault: str, day: object) -> pd.DataFrame:
    of_day = frame["time"].dt.date == day
    match fault:
        case "an empty day":
            return frame[~of_day]
        case "a missing column":
            return frame.drop(columns="height")
        case "a wrong type":
            return frame.assign(height=frame["height"].astype(str) + " m")
        case "a day of bad rows":
            return frame.assign(height=frame["height"].mask(of_day, 100.0))
        case "no labels":
            return frame.assign(good=float("nan"))
    return frame
