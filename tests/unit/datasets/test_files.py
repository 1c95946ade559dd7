from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sailplane.datasets import load
from sailplane.datasets.files import Files
from sailplane.errors import EmptyDataError
from sailplane.records import Interval
from tests.unit.datasets.conftest import by_day, packed, write

DAY = timedelta(days=1)
DAILY = "{data_interval_start:%Y-%m-%d}"
HEADER = b"time,distance,carrier,seats,late\n"
ROW = b"2024-02-26T06:00:00Z,1.5,AA,150,true\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix",
    [
        *(f"{text}{codec}" for text in ("csv", "tsv", "jsonl", "ndjson", "json") for codec in ("", ".gz", ".zst")),
        "CSV.GZ",
        "parquet",
    ],
)
def test_every_format_and_codec_gives_the_dataset_that_a_function_gives(
    suffix, folder, files, ingested, source, week, schema, store, tmp_path
):
    by_day(folder, source.assign(more="not in the schema"), f"part 0.{suffix}")
    asked = Files(f"{folder.as_uri()}/{DAILY}/*.{suffix}", schema=schema, time="time")
    dataset = ingested(asked, week)
    expected = ingested(
        lambda start, end: source[(source["time"] >= start) & (source["time"] < end)],
        week,
        storage=type(store)((tmp_path / "other").as_uri()),
    )
    assert (dataset.version, dataset.rows, dataset.quarantined) == (expected.version, 28, 0)
    assert list(files(f"{DAILY}/*.{suffix}", week.start, week.end)) == list(schema.columns)


def test_several_files_of_a_day_in_several_formats_are_one_day(folder, files, source, days):
    for row, suffix in enumerate(("csv.gz", "parquet", "jsonl.zst", "tsv")):
        write(folder / "2024-02-26" / f"{row}.{suffix}", source.iloc[[row]])
    frame = files(f"{DAILY}/*", *days)
    assert pd.to_datetime(frame["time"], utc=True, format="ISO8601").tolist() == source["time"][:4].tolist()


@pytest.mark.parametrize("pattern", ["{data_interval_start:%Y-%m}.csv", "all.csv", "a*.csv", "**/*.csv"])
def test_a_file_of_several_days_is_read_once_and_cut_to_the_days(pattern, folder, files, source, caplog):
    name = "2024-02.csv" if "data" in pattern else "all.csv"
    write(folder / name, source)
    caplog.set_level(logging.INFO, logger="sailplane.datasets.files")
    start = datetime(2024, 2, 27, tzinfo=UTC)
    frame = files(pattern, start, start + 2 * DAY)
    assert frame["distance"].tolist() == [str(float(number)) for number in range(104, 112)]
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder.as_uri()}/{name}: 8 of 400 rows belong to these days"
    ]


def test_a_window_over_two_months_takes_of_each_file_its_own_days(folder, files, source):
    # Both files hold all rows; rows of the other month must not be read twice.
    write(folder / "2024-02.csv", source)
    write(folder / "2024-03.csv", source)
    frame = files(
        "{data_interval_start:%Y-%m}.csv", datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 3, 3, tzinfo=UTC)
    )
    assert frame["distance"].tolist() == [str(float(number)) for number in range(108, 124)]


def test_a_row_in_another_days_file_is_left_out_whatever_the_window(folder, files, source, days):
    by_day(folder, source, "a.csv")
    write(folder / "2024-02-26" / "b.csv", source.iloc[[5]])
    assert len(files(f"{DAILY}/*.csv", *days)) == 28
    assert len(files(f"{DAILY}/*.csv", days[0], days[0] + DAY)) == 4


def test_the_end_of_a_day_names_files_too(folder, files, source, days):
    write(folder / "2024-02-27.csv", source)
    assert len(files("{data_interval_end:%Y-%m-%d}.csv", *days)) == 4


@pytest.mark.slow
def test_two_windows_and_one_make_the_same_version(folder, schema, ingested, source, week, store, tmp_path):
    by_day(folder, source.sample(frac=1, random_state=1), "a.csv.gz")
    extract = Files(f"{folder.as_uri()}/{DAILY}/*.csv.gz", schema=schema, time="time")
    other = type(store)((tmp_path / "other").as_uri())
    for day in week.days:
        ingested(extract, Interval(start=day, end=day + DAY), storage=other)
    assert ingested(extract, week, storage=other).version == ingested(extract, week).version


def test_a_day_without_a_file_is_a_day_without_rows(folder, schema, ingested, source, week, markers, caplog):
    by_day(folder, source, "a.csv", days=5)
    with pytest.raises(EmptyDataError, match="ingest flights: no rows on 2024-03-02 to 2024-03-03"):
        ingested(Files(f"{folder.as_uri()}/{DAILY}/*.csv", schema=schema, time="time"), week)
    assert len(markers()) == 5
    assert f"2 patterns match no file, like {folder.as_uri()}/2024-03-02/*.csv" in caplog.text


@pytest.mark.parametrize("content", [b"", b"time,distance,carrier,seats,late", b"\n\n"])
@pytest.mark.parametrize("codec", ["", ".gz", ".zst"])
def test_a_file_without_rows_has_none(content, codec, folder, files, source, days):
    (folder / f"a.csv{codec}").write_bytes(packed(content, codec))
    (folder / f"a.jsonl{codec}").write_bytes(packed(content.removeprefix(b"time,distance,carrier,seats,late"), codec))
    write(folder / f"b.csv{codec}", source)
    assert len(files(f"*{codec}", *days)) == 28
    (folder / f"b.csv{codec}").unlink()
    assert files(f"*{codec}", *days).empty


def test_quoted_newlines_a_bom_and_nulls_are_read_as_they_are_meant(folder, files, days):
    rows = b'"2024-02-26 06:00","1,5","A\r\n""A","",TRUE\r\n2024-02-26T06:00:00+02:00,NA,NA,null,0\n,1,"",007,perhaps'
    (folder / "a.csv").write_bytes(b"\xef\xbb\xbf" + HEADER + rows)
    frame = files("a.csv", *days)
    assert frame["carrier"].tolist() == ['A\r\n"A', "NA", ""]
    assert frame["distance"].isna().tolist() == [False, True, False]
    assert frame["seats"].isna().tolist() == [True, True, False]
    assert frame["late"].tolist() == [True, False, "perhaps"]
    (folder / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"time": "2024-02-26", "distance": 1, "carrier": "AA"}\n')
    assert files("a.jsonl", *days)["carrier"].tolist() == ["AA"]


def test_times_of_several_zones_are_one_time_and_without_a_zone_they_are_utc(folder, schema, ingested, store, week):
    day = Interval(start=week.start, end=week.start + DAY)
    texts = [b"2024-02-26T03:00:00+03:00", b"2024-02-26 01:00:00", b"2024-02-25T21:00:00-05:00", b"20240226T030000Z"]
    (folder / "a.csv").write_bytes(HEADER + b"".join(text + b",1,AA,,\n" for text in texts))
    columns = {"distance": [1.0], "carrier": ["AA"], "seats": [1.0], "late": [None]}
    for hour, (zone, unit) in enumerate([("America/New_York", "ns"), (None, "ms"), ("UTC", "s")], 4):
        time = pd.Series([pd.Timestamp("2024-02-26", tz="UTC") + pd.Timedelta(hours=hour)])
        time = time.dt.tz_convert(zone) if zone else time.dt.tz_localize(None)
        pd.DataFrame({"time": time.dt.as_unit(unit), **columns}).to_parquet(folder / f"{hour}.parquet")
    dataset = ingested(Files(f"{folder.as_uri()}/*", schema=schema, time="time"), day)
    times = load(store, dataset)["time"]
    assert times.tolist() == [pd.Timestamp("2024-02-26", tz="UTC") + pd.Timedelta(hours=hour) for hour in range(7)]


def test_parquet_files_that_differ_in_types_and_order_are_one_column(folder, schema, ingested, store, week, quarantine):
    time = pd.date_range("2024-02-26", periods=2, freq="h", tz="UTC")
    big = 2**60 + 1
    of_integers = pa.table(
        {"late": [None, None], "seats": [big, 2], "distance": [1, 2], "carrier": ["AA", "UA"], "time": time}
    )
    pq.write_table(of_integers, folder / "a.parquet")
    of_floats = pa.table(
        {
            "time": pa.array(["2024-02-26T02:00Z", "2024-02-26T03:00:00+00:00"]),
            "distance": pa.array([1.5, None], pa.float32()),
            "carrier": pa.array(["AA", "UA"]).dictionary_encode(),
            "seats": pa.array([3.0, None]),
            "late": [True, False],
            "more": [1, 2],
        }
    )
    pq.write_table(of_floats, folder / "b.parquet")
    day = Interval(start=week.start, end=week.start + DAY)
    dataset = ingested(Files(f"{folder.as_uri()}/*", schema=schema, time="time"), day)
    frame = load(store, dataset)
    assert frame["seats"].tolist() == [big, 2, 3]
    assert frame["late"].tolist() == [pd.NA, pd.NA, True]
    (bad,) = quarantine().values()
    assert bad["reason"].tolist() == ["distance: not_nullable: null"]


def test_an_integer_column_of_a_parquet_file_is_never_rounded(
    folder, files, source, ingested, week, schema, quarantine
):
    write(folder / "a.parquet", source.astype({"seats": "Float64"}).assign(seats=source["seats"] + 0.5))
    write(folder / "b.parquet", source)
    dataset = ingested(Files(f"{folder.as_uri()}/*", schema=schema, time="time"), week)
    assert (dataset.rows, dataset.quarantined) == (28 + 14, 14)
    reasons = [reason for frame in quarantine().values() for reason in frame["reason"]]
    assert all("seats: not a whole number" in reason and "150.5" in reason for reason in reasons)


def test_a_file_that_two_days_mean_holds_rows_of_both(folder, files, source, days):
    write(folder / "26-27.csv", source)
    write(folder / "27-26.csv", source.assign(distance=1.0))
    assert len(files("*{data_interval_start:%d}*.csv", days[0], days[0] + 2 * DAY)) == 16


@pytest.mark.slow
def test_a_file_of_many_blocks_is_read_whole(folder, files, days, monkeypatch):
    for name, value in {"text.BLOCK_BYTES": 1000, "read_csv.BLOCK_BYTES": 1000, "read_parquet.BATCH_ROWS": 100}.items():
        monkeypatch.setattr(f"sailplane.datasets.{name}", value)
    rows = 2000
    frame = pd.DataFrame(
        {
            "time": pd.Timestamp("2024-02-26", tz="UTC") + pd.to_timedelta(np.arange(rows), unit="s"),
            "distance": np.arange(rows) + 0.5,
            "carrier": [f"{'x' * (row % 50)}\n{row}" for row in range(rows)],
            "seats": 1,
            "late": True,
        }
    )
    for suffix in ("csv", "jsonl.gz", "parquet"):
        write(folder / f"a.{suffix}", frame)
        read = files(f"a.{suffix}", *days)
        assert read["carrier"].tolist() == frame["carrier"].tolist()
        assert read["distance"].astype(float).tolist() == frame["distance"].tolist()
