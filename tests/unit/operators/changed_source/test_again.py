"""Days that are read again because the DAG or a person asks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from sailplane.errors import ConfigurationError
from sailplane.operators import IngestDatasetOperator
from tests.unit.operators.changed_source.project import DATA, DAYS, EXTRACT, Project, called


@pytest.mark.slow
def test_the_last_days_are_read_again_in_every_run_where_nothing_else_shows_a_change(project: Project) -> None:
    # As with a database, the same code returns other rows.
    table = project.folder / "table.txt"
    table.write_text("1.0")
    text = DATA.replace("QUERY.read_text()", f"Path({str(table)!r}).read_text()")
    project.write("things/data.py", text)
    first = project.ingest(extract=EXTRACT, revise_days=2)
    table.write_text("2.0")
    assert project.ingest(extract=EXTRACT) == first
    second = project.ingest(extract=EXTRACT, revise_days=2)
    assert called() == [(datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))]
    assert project.sizes(second) == [2, 2, 4, 4, 4, 4]
    assert project.why == ["2024-02-28 to 2024-02-29: ingested again (revise_days=2): other rows"]
    before = project.storage.list()
    assert (project.ingest(extract=EXTRACT, revise_days=2), project.storage.list()) == (second, before)
    assert project.sizes(project.ingest(extract=EXTRACT, revise_days=5)) == [4] * 6, "more days than there are: all"


@pytest.mark.parametrize(
    ("asked", "days"),
    [("1", [2]), ("2024-02-27", [0]), ("2024-02-27..2024-02-28", [0, 1]), ("2024-02-27, 1", [0, 2]), (3, [0, 1, 2])],
)
def test_the_form_asks_for_days_to_be_read_again(project: Project, asked: object, days: list[int]) -> None:
    project.ingest(extract=EXTRACT)
    project.ingest(extract=EXTRACT, params={"refresh": asked})
    starts = {
        DAYS.index(f"{day:%Y-%m-%d}") for start, end in called() for day in pd.date_range(start, end, inclusive="left")
    }
    assert sorted(starts) == days


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["yesterday", "2024-02-20", "2024-02-28..2024-02-27", "2024-02-28..2024-03-05", "-1"])
def test_days_that_the_run_does_not_cover_are_refused(project: Project, asked: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the parameter refresh: .*within 2024-02-27\.\.2024-03-01"):
        project.ingest(params={"refresh": asked})


@pytest.mark.parametrize("days", [-1, "3", 1.5])
def test_wrong_numbers_of_days_are_refused_when_the_dag_is_parsed(days: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"read revise_days: .*; expected a number of days"):
        IngestDatasetOperator(task_id="ingest", dataset="d", extract="a:b", schema="a:c", time="t", revise_days=days)
