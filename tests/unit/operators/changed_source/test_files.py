"""Files that have changed since they were ingested."""

from __future__ import annotations

import gzip
import logging
import os

import pytest

from sailplane.errors import DataError, EmptyDataError, SchemaError
from sailplane.storage import Storage
from tests.unit.operators.changed_source.project import DAYS, SCHEMA, Project


def test_values_that_were_corrected_make_a_new_version_of_their_day_alone(project: Project) -> None:
    first = project.ingest()
    project.day(DAYS[1], 1.25)
    second = project.ingest()
    assert project.sizes(second) == [1, 1, 1.25, 1.25, 1, 1]
    assert second.version != first.version
    assert project.sizes(first) == [1] * 6, "what was trained on the old rows can be trained again"
    assert second.revised == ("2024-02-28 in version 2",)
    assert project.why == [
        "2024-02-28: ingested again (source changed: 2024-02-28.csv, 52 bytes -> 54 bytes): other rows"
    ]


def test_a_renamed_header_stops_the_run_and_the_day_keeps_its_rows(project: Project) -> None:
    first = project.ingest()
    project.day(DAYS[1], header="time,length")
    with pytest.raises(SchemaError, match=r"2024-02-28\.csv.*'size'"):
        project.ingest()
    assert project.sizes(first) == [1] * 6
    project.day(DAYS[1])
    assert project.ingest().version == first.version


def test_an_unchanged_source_is_not_read_again_and_nothing_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = project.ingest()
    before = {entry.path: entry for entry in project.storage.entries()}
    streamed: list[str] = []
    stream = Storage.stream
    monkeypatch.setattr(Storage, "stream", lambda self, path: streamed.append(path) or stream(self, path))
    assert project.ingest() == first
    assert ({entry.path: entry for entry in project.storage.entries()}, streamed) == (before, [])


def test_files_that_were_only_touched_are_the_same_version(project: Project) -> None:
    first = project.ingest()
    os.utime(project.day(DAYS[1]), (0, 0))
    assert project.ingest() == first
    assert project.why == ["2024-02-28: ingested again (source changed: 2024-02-28.csv changed): the same rows"]
    assert project.ingest() == first
    assert project.why == []


def test_a_file_that_comes_late_belongs_to_its_day(project: Project) -> None:
    first = project.ingest()
    project.day(DAYS[0], 3, part="-late")
    second = project.ingest()
    assert (first.rows, second.rows) == (6, 8)
    assert "2024-02-27-late.csv is new, " in project.why[0]


def test_a_file_that_is_taken_away_takes_its_rows_with_it(project: Project) -> None:
    late = project.day(DAYS[0], 3, part="-late")
    first = project.ingest()
    late.unlink()
    assert (first.rows, project.ingest().rows) == (8, 6)
    assert "2024-02-27-late.csv is gone" in project.why[0]


def test_a_day_that_has_lost_all_files_is_named_unless_the_source_deletes_old_ones(project: Project) -> None:
    first = project.ingest()
    (project.folder / "files" / f"{DAYS[0]}.csv").unlink()
    with pytest.raises(EmptyDataError, match=r"no rows on 2024-02-27; .*2024-02-27\.csv is gone.*source_expires=True"):
        project.ingest()
    assert project.sizes(first) == [1] * 6
    assert project.ingest(source_expires=True) == first
    project.day(DAYS[0], 7)
    assert project.sizes(project.ingest(source_expires=True))[:2] == [7, 7]


@pytest.mark.slow
def test_a_late_file_of_a_day_whose_other_files_have_expired_loses_no_rows(project: Project) -> None:
    first = project.ingest(source_expires=True)
    (project.folder / "files" / f"{DAYS[0]}.csv").unlink()
    project.day(DAYS[0], 3, part="-late")
    with pytest.raises(DataError, match=r"again 2024-02-27: 2024-02-27\.csv is gone, and the rest has changed"):
        project.ingest(source_expires=True)
    assert project.sizes(first) == [1] * 6
    accepted = project.ingest(source_expires=True, params={"refresh": DAYS[0]})
    assert project.sizes(accepted)[:2] == [3, 3]


def test_a_file_without_rows_that_gets_some_is_read_again(project: Project) -> None:
    project.day(DAYS[2], rows=0, part="-more")
    assert project.ingest().rows == 6
    project.day(DAYS[2], rows=3, part="-more")
    assert project.ingest().rows == 9


def test_a_day_without_rows_is_asked_for_again_until_it_has_some(project: Project) -> None:
    project.day(DAYS[2], rows=0)
    with pytest.raises(EmptyDataError, match="no rows on 2024-02-29"):
        project.ingest()
    project.day(DAYS[2])
    assert project.ingest().rows == 6


def test_packed_files_are_compared_too(project: Project) -> None:
    for size in (1.0, 5.0):
        plain = project.day(DAYS[1], size)
        plain.with_name(f"{DAYS[1]}.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        found = project.sizes(project.ingest())
    assert found == [1, 1, 5, 5, 1, 1]


def test_another_time_column_cuts_the_days_anew(project: Project) -> None:
    project.write(
        "things/schema.py", SCHEMA.replace('"size"', '"sent": Column(pd.DatetimeTZDtype("us", "UTC")), "size"')
    )
    for day in DAYS:
        file = project.folder / "files" / f"{day}.csv"
        file.write_text(f"time,sent,size\n{day}T01:00,{day}T02:00,1\n{day}T02:00,2024-02-01,2\n")
    assert project.ingest().rows == 6
    assert project.ingest(time="sent").rows == 3


def test_the_log_names_days_that_were_ingested_again_before_an_error(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="a task")
    project.ingest()
    project.day(DAYS[0], 2)
    project.day(DAYS[2], 2, header="time,length")
    with pytest.raises(SchemaError):
        project.ingest()
    assert "2024-02-27: ingested again (source changed: " in caplog.text
    project.day(DAYS[2])
    assert project.ingest().revised == ("2024-02-27 in version 2",)
