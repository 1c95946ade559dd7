"""scikit-learn's 1,797 handwritten digits, 8 x 8 pixels each, as if a scanner read all of them again every 28 days.

Image i is scanned on the days d (counted from 1970-01-01) with d % 28 == i % 28, about 64 images a day. So any window
of 28 days holds each image once, and train, validation and test rows of such a window never share one.
"""

from __future__ import annotations

import functools
from datetime import datetime

import numpy as np
import pandas as pd
from pandera.pandas import Check, Column, DataFrameSchema

CYCLE = 28  # days
MINUTES_APART = 20  # 65 images at most fit into a day
PIXELS = [f"pixel_{place:02}" for place in range(64)]  # row by row from the top left

SCHEMA = DataFrameSchema(
    {
        "scanned_at": Column(pd.DatetimeTZDtype("us", "UTC")),
        **{pixel: Column(int, Check.in_range(0, 16)) for pixel in PIXELS},  # 16 is black
        "digit": Column(int, Check.in_range(0, 9)),
    }
)


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    """Every scan with start <= scanned_at < end, in that order: SCHEMA's columns."""
    images = _images()
    days = np.arange(np.datetime64(start.date(), "D"), np.datetime64(end.date(), "D") + np.timedelta64(1, "D"))
    picked = [np.arange(day % CYCLE, len(images), CYCLE) for day in days.astype(int)]
    image = np.concatenate(picked)
    minute = image // CYCLE * MINUTES_APART
    midnight = np.repeat(days, [len(scans) for scans in picked]).astype("datetime64[us]")
    scanned_at = pd.Series(midnight + minute * np.timedelta64(60_000_000, "us")).dt.tz_localize("UTC")
    frame = images.iloc[image].reset_index(drop=True)
    frame.insert(0, "scanned_at", scanned_at)
    return frame[(scanned_at >= start) & (scanned_at < end)].reset_index(drop=True)


@functools.cache
def _images() -> pd.DataFrame:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = pd.DataFrame(digits.data.astype("int64"), columns=PIXELS)
    return images.assign(digit=digits.target.astype("int64"))
