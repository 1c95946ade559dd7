from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pandas as pd
import pytest

from sailplane.errors import ConfigurationError, DataError
from sailplane.home import Home
from sailplane.operators import IngestDatasetOperator
from tests.homes import new_ledger

MODULE = """
import pandas as pd
from pandera.pandas import Column, DataFrameSchema

SCHEMA = DataFrameSchema({"time": Column(pd.DatetimeTZDtype("us", "UTC")), "size": Column(float)})

def extract(start, end):
    return pd.DataFrame({"time": pd.date_range(start, end, inclusive="left", freq="12h"), "size": 1.0})
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A home, and a project with one module, whose name is unique because Python caches modules."""
    (tmp_path / "ingested_by_a_test.py").write_text(MODULE)
    monkeypatch.setenv("SAILPLANE_PROJECT", str(tmp_path))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(tmp_path))
    new_ledger(Home.find().ledger)
    return tmp_path


def operator(**arguments) -> IngestDatasetOperator:
    schema = "ingested_by_a_test:SCHEMA"
    return IngestDatasetOperator(task_id="ingest", dataset="sizes", schema=schema, time="time", days=3, **arguments)


CONTEXT = {
    "params": {},
    "dag_run": SimpleNamespace(
        run_after=datetime(2024, 3, 1, 12, tzinfo=UTC), run_type="manual", partition_key=None, clear_number=0
    ),
    "ti": SimpleNamespace(dag_id="d", run_id="r", task_id="ingest", map_index=-1, max_tries=0, try_number=1),
}


def test_files_and_a_function_that_give_the_same_rows_make_the_same_version(project, monkeypatch):
    by_function = operator(extract="ingested_by_a_test:extract").execute(CONTEXT)
    for day in pd.date_range("2024-02-27", "2024-02-29"):
        text = f"time,size,more\n{day:%Y-%m-%d}T00:00Z,1,x\n{day:%Y-%m-%d}T12:00,1.0,y\n"
        (project / f"sizes-{day:%Y-%m-%d}.csv").write_text(text)
    monkeypatch.setenv("SAILPLANE_HOME", str(project / "another"))
    new_ledger(Home.find().ledger)
    by_files = operator(files=f"{project.as_uri()}/sizes-{{data_interval_start:%Y-%m-%d}}.csv").execute(CONTEXT)
    assert by_files["rows"] == 6
    assert by_files["version"] == by_function["version"]


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"extract": "a.b:c", "files": "file:///a.csv"}, "extract and files"),
        ({}, "neither extract nor files"),
        ({"extract": "", "files": None}, "neither extract nor files"),
    ],
)
def test_a_dag_names_a_function_or_files_never_both_or_none(given, got):
    with pytest.raises(ConfigurationError, match=f"create the task 'ingest': {got}; expected either extract"):
        operator(**given)


def test_a_pattern_that_is_none_fails_the_task_with_one_clear_error(project):
    with pytest.raises(ConfigurationError, match=r"the placeholder \{ds\}; expected"):
        operator(files=f"{project.as_uri()}/{{ds}}/*.csv").execute(CONTEXT)


def test_a_file_that_cannot_be_read_fails_the_task_with_its_name(project):
    (project / "sizes.csv").write_text("time,size\n2024-02-28\n")
    with pytest.raises(DataError, match=r"sizes\.csv: .*Expected 2 columns, got 1"):
        operator(files=f"{project.as_uri()}/sizes.csv").execute(CONTEXT)


def test_the_braces_of_a_pattern_are_never_read_as_a_template():
    assert "files" not in IngestDatasetOperator.template_fields
