"""Example rows: 200 customers a day, some of whom cancel. They are generated, with the day as the seed, so a day always
has the same rows. Replace `extract` and SCHEMA by your own source."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from pandera.pandas import Check, Column, DataFrameSchema

ROWS_PER_DAY = 200
PLANS = ["basic", "plus", "pro"]

SCHEMA = DataFrameSchema(
    {
        "seen_at": Column(pd.DatetimeTZDtype("us", "UTC")),
        "plan": Column(str, Check.isin(PLANS)),
        "months": Column(int, Check.ge(0)),
        "support_calls": Column(int, Check.ge(0)),
        "hours_a_week": Column(float, Check.in_range(0, 168), nullable=True),
        "cancels": Column("boolean", nullable=True),  # null where it is not known yet
    }
)


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    """The rows with start <= seen_at < end, in that order: SCHEMA's columns."""
    days = pd.date_range(pd.Timestamp(start).floor("D"), end, freq="D")
    rows = pd.concat([_day(day) for day in days], ignore_index=True)
    return rows[(rows["seen_at"] >= start) & (rows["seen_at"] < end)].reset_index(drop=True)


def _day(day: pd.Timestamp) -> pd.DataFrame:
    random = np.random.default_rng(int(day.timestamp()))
    plan = random.choice(PLANS, ROWS_PER_DAY, p=[0.5, 0.3, 0.2])
    months = random.geometric(0.05, ROWS_PER_DAY)
    calls = random.poisson(1.0, ROWS_PER_DAY)
    hours = random.gamma(2.0, 3.0, ROWS_PER_DAY)
    # Customers who are new, or who use little and call often, are likelier to cancel.
    logit = 1.5 * (months < 4) + calls * (hours < 4) - 0.5 * (plan == "pro") - 1.5
    cancels = random.random(ROWS_PER_DAY) < 1 / (1 + np.exp(-logit))
    hours[random.random(ROWS_PER_DAY) < 0.05] = np.nan  # not measured
    return pd.DataFrame(
        {
            "seen_at": pd.date_range(day, periods=ROWS_PER_DAY, freq="7min").as_unit("us"),
            "plan": plan.astype(object),
            "months": months,
            "support_calls": calls,
            "hours_a_week": hours,
            "cancels": pd.array(cancels, dtype="boolean"),
        }
    )
