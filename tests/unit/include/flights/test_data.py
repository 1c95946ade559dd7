from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest

from include.flights import data, features
from sailplane.bundles.arrays import arrays_of_frame
from sailplane.datasets.schema import fields

KNOWN_AFTERWARDS = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def without_time(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="scheduled_departure")


@pytest.mark.slow
def test_the_year_2013_has_all_its_flights_and_fits_the_schema():
    year = data.extract(day(2013, 1, 1), day(2014, 1, 1))
    assert len(year) == 336_776
    assert data.SCHEMA.validate(year, lazy=True) is not None
    assert year["late"].isna().sum() == 9430
    assert year["late"].mean() == pytest.approx(0.2447, abs=1e-4)
    assert year["scheduled_departure"].is_monotonic_increasing


@pytest.mark.slow
def test_the_first_flight_is_the_one_of_the_source():
    first = data.extract(day(2013, 1, 1), day(2013, 1, 2)).iloc[0]
    assert (first["carrier"], first["flight"], first["origin"], first["dest"]) == ("UA", 1545, "EWR", "IAH")
    assert first["scheduled_departure"] == pd.Timestamp("2013-01-01T05:15Z")
    assert (first["scheduled_arrival_minute"], first["weekday"], first["plane_age"]) == (8 * 60 + 19, 1, 14)
    assert (first["temp"], first["wind_dir"], first["late"]) == (39.02, 260, False)


@pytest.mark.slow
@pytest.mark.parametrize("year", [1969, 2012, 2024, 2026, 2100])
def test_any_year_replays_2013(year):
    once = data.extract(day(2013, 3, 1), day(2014, 1, 1))
    again = data.extract(day(year, 3, 1), day(year + 1, 1, 1))
    pd.testing.assert_frame_equal(without_time(once), without_time(again))
    shift = again["scheduled_departure"] - once["scheduled_departure"]
    assert shift.nunique() == 1
    assert again["scheduled_departure"].iloc[0].date() == day(year, 3, 1).date()


def test_29_february_replays_the_28th():
    leap = data.extract(day(2024, 2, 29), day(2024, 3, 1))
    pd.testing.assert_frame_equal(without_time(leap), without_time(data.extract(day(2024, 2, 28), day(2024, 2, 29))))
    assert set(leap["scheduled_departure"].dt.date) == {day(2024, 2, 29).date()}


def test_after_the_last_day_of_a_year_comes_the_first_of_the_next():
    window = data.extract(day(2025, 12, 31), day(2026, 1, 2))
    parts = [data.extract(day(2013, 12, 31), day(2014, 1, 1)), data.extract(day(2013, 1, 1), day(2013, 1, 2))]
    pd.testing.assert_frame_equal(without_time(window), without_time(pd.concat(parts, ignore_index=True)))
    assert window["scheduled_departure"].is_monotonic_increasing


def test_every_day_of_a_window_has_flights_and_none_lies_outside():
    start, end = day(2023, 9, 1), day(2024, 3, 15)
    times = data.extract(start, end)["scheduled_departure"]
    assert times.dt.floor("D").nunique() == (end - start).days
    assert (times >= start).all()
    assert (times < end).all()


def test_parts_of_a_day_add_up_to_the_day():
    noon = day(2026, 5, 5) + timedelta(hours=12)
    parts = [data.extract(day(2026, 5, 5), noon), data.extract(noon, day(2026, 5, 6))]
    whole = data.extract(day(2026, 5, 5), day(2026, 5, 6))
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_no_column_has_the_name_of_what_is_known_only_afterwards():
    assert not set(data.SCHEMA.columns) & {*KNOWN_AFTERWARDS, "tailnum"}
    start = day(2026, 5, 5)
    assert list(data.extract(start, start + timedelta(days=1))) == list(data.SCHEMA.columns)


@pytest.fixture
def scrambled_source(tmp_path, monkeypatch):
    """The source files with all values that are known only later shuffled between flights. Whether a flight arrived at
    all is kept, because it only decides which rows have a label."""
    for name in ("planes.csv", "weather.csv"):
        (tmp_path / name).write_bytes((data.source() / name).read_bytes())
    raw = zipfile.ZipFile(data.source() / "flights.csv.zip").read("flights.csv")
    table = pyarrow.csv.read_csv(pa.BufferReader(raw), convert_options=pyarrow.csv.ConvertOptions(null_values=["NA"]))
    flights = table.to_pandas()
    order = np.random.default_rng(1).permutation(len(flights))
    flights[KNOWN_AFTERWARDS] = flights[KNOWN_AFTERWARDS].to_numpy()[order]
    text = flights.assign(time_hour=flights["time_hour"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    pyarrow.csv.write_csv(pa.Table.from_pandas(text, preserve_index=False), tmp_path / "flights.csv")
    monkeypatch.setattr(data, "source", lambda: tmp_path)
    data._year.cache_clear()
    yield
    data._year.cache_clear()


@pytest.fixture
def honest() -> pd.DataFrame:
    return data.extract(day(2026, 3, 1), day(2026, 6, 1))


@pytest.mark.slow
def test_no_input_and_no_feature_changes_with_what_is_known_only_afterwards(honest, scrambled_source):
    scrambled = data.extract(day(2026, 3, 1), day(2026, 6, 1))
    assert not honest["late"].equals(scrambled["late"])
    pd.testing.assert_frame_equal(honest.drop(columns="late"), scrambled.drop(columns="late"))
    columns, theirs = (arrays_of_frame(frame, fields(data.SCHEMA)) for frame in (honest, scrambled))
    state, other = features.fit(columns), features.fit(theirs)
    assert state == other
    for name, array in features.transform(columns, state).items():
        assert array.tobytes() == features.transform(theirs, other)[name].tobytes()
