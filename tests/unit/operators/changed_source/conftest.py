from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from sailplane import code
from sailplane.home import Home
from sailplane.operators import IngestDatasetOperator
from tests.homes import new_ledger
from tests.unit.operators.changed_source.project import DATA, DAYS, SCHEMA, Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SAILPLANE_PROJECT", str(tmp_path))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    # Airflow's own handler writes only to the task's log.
    monkeypatch.setattr(IngestDatasetOperator, "log", logging.getLogger("a task"))
    # The task sets it for its child processes.
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    others = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "include"}
    for name in others:
        del sys.modules[name]
    monkeypatch.syspath_prepend(str(tmp_path))
    new_ledger(Home.find().ledger)
    made = Project(tmp_path)
    made.write("things/schema.py", SCHEMA)
    made.write("things/data.py", DATA)
    made.write("things/sizes.py", "SIZE = 2.0\n")
    made.write("things/query.sql", "SELECT 1")
    made.write("shared/units.py", "UNIT = 1.0\n")
    for day in DAYS:
        made.day(day)
    yield made
    code._used.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "include"]:
        del sys.modules[name]
    sys.modules.update(others)
