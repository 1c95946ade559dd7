from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from pandera.pandas import Check, Column, DataFrameSchema

from sailplane.datasets import load
from sailplane.errors import ConfigurationError, DataError, EmptyDataError, SchemaError
from sailplane.records import Dataset, Interval
from sailplane.storage import Storage

DAY = timedelta(days=1)


def files(store: Storage) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(urlsplit(store.root).path).rglob("*")}


def test_a_window_becomes_one_partition_a_day_from_one_call(store, extract, ingested, week, markers):
    dataset = ingested(extract, week)
    assert extract.asked == [(week.start, week.end)]
    assert markers() == [f"{day:%Y-%m-%d}" for day in week.days]
    assert (dataset.rows, dataset.quarantined, dataset.interval) == (28, 0, week)
    assert json.loads(store.get(store.path(dataset.uri)))["version"] == dataset.version
    assert Dataset.from_dict(json.loads(json.dumps(dataset.to_dict()))) == dataset


def test_a_second_ingest_writes_nothing_and_yields_the_same_version(store, extract, ingested, week):
    first = ingested(extract, week)
    before = files(store)
    assert ingested(extract, week) == first
    assert files(store) == before
    assert len(extract.asked) == 1


def test_only_missing_days_are_extracted_with_one_call_a_gap(extract, ingested, week):
    ingested(extract, Interval(start=week.start + 2 * DAY, end=week.start + 3 * DAY))
    ingested(extract, Interval(start=week.start + 5 * DAY, end=week.start + 6 * DAY))
    extract.asked.clear()
    ingested(extract, week)
    starts = [((start - week.start).days, (end - week.start).days) for start, end in extract.asked]
    assert starts == [(0, 2), (3, 5), (6, 7)]


def test_days_that_came_one_by_one_make_the_version_of_days_that_came_at_once(extract, ingested, week, tmp_path):
    other = Storage((tmp_path / "other").as_uri())
    for day in week.days:
        ingested(extract, Interval(start=day, end=day + DAY), storage=other)
    assert ingested(extract, week, storage=other).version == ingested(extract, week).version


def test_the_order_of_the_rows_within_a_frame_does_not_matter(extract, ingested, source, week, tmp_path):
    extract.frame = source.sample(frac=1, random_state=1)
    shuffled = ingested(extract, week, storage=Storage((tmp_path / "other").as_uri()))
    extract.frame = source
    assert shuffled.version == ingested(extract, week).version


def test_other_data_make_another_version(extract, ingested, source, week, tmp_path):
    first = ingested(extract, week)
    extract.frame = source.assign(distance=source["distance"].where(source.index != 3, 7.0))
    assert ingested(extract, week, storage=Storage((tmp_path / "other").as_uri())).version != first.version


def test_a_changed_schema_makes_new_partitions_and_leaves_the_old_version_readable(
    store, extract, ingested, week, schema
):
    old = ingested(extract, week)
    narrower = schema.remove_columns(["seats"])
    new = ingested(extract, week, narrower)
    assert new.version != old.version
    assert "seats" not in load(store, new)
    assert "seats" in load(store, old)


def test_a_tightened_check_is_a_changed_schema(extract, ingested, week, schema):
    ingested(extract, week)
    tighter = schema.update_column("distance", checks=Check.greater_than(101))
    assert ingested(extract, week, tighter).quarantined == 2


def test_empty_days_are_one_error_that_names_them_and_leave_nothing_of_theirs(
    store, extract, ingested, source, week, markers
):
    extract.frame = source.drop(index=[4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23])
    with pytest.raises(EmptyDataError) as caught:
        ingested(extract, week)
    assert "ingest flights: no rows on 2024-02-27 to 2024-02-28, 2024-03-02; expected" in str(caught.value)
    assert markers() == ["2024-02-26", "2024-02-29", "2024-03-01", "2024-03-03"]
    assert store.list("datasets/flights/versions") == []

    extract.frame = source
    extract.asked.clear()
    assert ingested(extract, week).rows == 28
    assert len(extract.asked) == 2


def test_no_rows_at_all_are_an_error(store, extract, ingested, source, week):
    extract.frame = source.iloc[:0]
    with pytest.raises(EmptyDataError, match="no rows on 2024-02-26 to 2024-03-03"):
        ingested(extract, week)
    assert store.list() == []


def test_a_day_of_only_bad_rows_is_an_error_that_gives_the_reason(
    store, extract, ingested, source, week, markers, quarantine
):
    source.loc[4:7, "distance"] = -5
    with pytest.raises(SchemaError) as caught:
        ingested(extract, week)
    assert (
        "only bad rows on 2024-02-27, like distance: greater_than(0): -5 (4 of 4 rows); expected good rows on each "
        "day. These days were not written."
    ) in str(caught.value)
    assert "2024-02-27" not in markers()
    assert quarantine() == {}


def test_when_all_rows_are_bad_nothing_is_written(store, extract, ingested, source, week):
    source["distance"] = -5.0
    with pytest.raises(SchemaError, match="only bad rows on 2024-02-26 to 2024-03-03"):
        ingested(extract, week)
    assert store.list() == []


@pytest.mark.parametrize("hours", [-1, 7 * 24])
def test_rows_outside_the_days_asked_for_are_refused(store, extract, ingested, source, week, hours):
    stray = source.iloc[[0]].assign(time=pd.Timestamp(week.start) + pd.Timedelta(hours=hours))
    with pytest.raises(DataError, match=r"1 of 29 rows lie outside, like time = 2024-0.*<= time <.*leak"):
        ingested(lambda start, end: pd.concat([extract(start, end), stray]), week)
    assert store.list() == []


def test_a_bad_row_outside_the_days_asked_for_is_refused_too(extract, ingested, source, week):
    stray = source.iloc[[40]].assign(distance=-5.0)
    with pytest.raises(DataError, match="lie outside"):
        ingested(lambda start, end: pd.concat([extract(start, end), stray]), week)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        (datetime(2024, 3, 1, 6, tzinfo=UTC), datetime(2024, 3, 2, 6, tzinfo=UTC)),
        (datetime(2024, 3, 1), datetime(2024, 3, 2)),
    ],
)
def test_only_whole_days_can_be_ingested(extract, ingested, start, end):
    with pytest.raises(ConfigurationError, match="from midnight to midnight UTC"):
        ingested(extract, Interval(start=start, end=end))


def test_the_time_column_must_be_in_the_schema(extract, ingested, week):
    with pytest.raises(ConfigurationError, match="the time column 'time'"):
        ingested(extract, week, DataFrameSchema({"distance": Column(float)}))


class Crash(Exception):
    pass


class CrashesBeforeTheMarker(Storage):
    """A process that dies when a day's rows are in the store and its marker is not."""

    def put_new(self, path: str, data: bytes) -> bool:
        if "/partitions/2024-02-28/" in path:
            raise Crash
        return super().put_new(path, data)


def test_after_a_crash_between_data_and_marker_the_day_is_not_there_and_the_next_ingest_works(
    store, extract, ingested, week, markers
):
    with pytest.raises(Crash):
        ingested(extract, week, storage=CrashesBeforeTheMarker(store.root))
    assert [path for path in store.list() if "/2024-02-28/" in path and path.endswith(".parquet")]
    assert "2024-02-28" not in markers()
    assert store.list("datasets/flights/versions") == []

    dataset = ingested(extract, week)
    assert (dataset.rows, len(load(store, dataset))) == (28, 28)


class LosesTheRace(Storage):
    """Another writer finishes a day just before this one."""

    def __init__(self, root: str, other: object) -> None:
        super().__init__(root)
        self.other = other

    def put_new(self, path: str, data: bytes) -> bool:
        other, self.other = self.other, None
        if other:
            other()
        return super().put_new(path, data)


def test_of_two_writers_the_first_wins_and_the_second_uses_its_partition(store, extract, ingested, source, week):
    day = Interval(start=week.start, end=week.start + DAY)
    late = source.assign(distance=source["distance"] + 1)
    winners = []
    slow = LosesTheRace(store.root, lambda: winners.append(ingested(extract, day)))
    second = ingested(lambda start, end: late[(late["time"] >= start) & (late["time"] < end)], day, storage=slow)
    assert [second] == winners
    assert load(store, second)["distance"].tolist() == [100, 101, 102, 103]


def test_many_writers_at_once_agree_on_one_version(store, extract, ingested, source, week, markers):
    versions = []

    def write(shift: int) -> None:
        mine = source.assign(distance=source["distance"] + shift)
        versions.append(ingested(lambda start, end: mine[(mine["time"] >= start) & (mine["time"] < end)], week).version)

    threads = [threading.Thread(target=write, args=(shift,)) for shift in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 4
    assert len(set(versions)) == 1
    assert len(markers()) == 7


def test_a_dataset_carries_the_checks_of_its_schema_and_its_version_depends_on_the_data_alone(
    store, extract, week, source, tmp_path
):
    from sailplane.datasets import ingest
    from sailplane.datasets.schema import fields

    columns = {"time": Column(pd.DatetimeTZDtype("us", "UTC")), "distance": Column(float)}
    own = Check(lambda frame: frame["distance"] > 0, name="far")
    checked = {**columns, "distance": Column(float, [Check.ge(0), Check(lambda column: column < 1e9, name="near")])}
    made = [
        ingest(
            Storage((tmp_path / f"{number}").as_uri()),
            name="flights",
            extract=extract,
            schema=schema,
            time="time",
            interval=week,
        )
        for number, schema in enumerate((DataFrameSchema(columns), DataFrameSchema(checked, checks=own)))
    ]
    assert made[0].version == made[1].version
    assert made[0].schema == fields(DataFrameSchema(columns))
    assert [check.name for check in made[1].schema[1].checks] == ["greater_than_or_equal_to"]
    assert made[1].unchecked == ("the frame: far", "distance: near")
    assert Dataset.from_dict(json.loads(json.dumps(made[1].to_dict()))) == made[1]
    assert "checks" not in json.dumps(made[0].to_dict())
