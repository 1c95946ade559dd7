from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

PROJECT = Path(__file__).parents[3]
FILES = sorted((PROJECT / "dags").glob("*.py"))
STAGES = ["ingest", "train", "sweep.create", "sweep.worker", "sweep.best", "evaluate", "deploy"]


@pytest.fixture(scope="module")
def dags():
    bag = DagBag(dag_folder=str(PROJECT / "dags"))
    assert bag.import_errors == {}
    return bag.dags


def test_a_file_holds_the_dag_of_its_name(dags):
    assert sorted(dags) == [file.stem for file in FILES]


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_every_project_goes_through_the_same_stages_in_order(dags, name):
    assert [task.task_id for task in dags[name].topological_sort()] == STAGES


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_a_dag_can_be_serialised_and_carries_its_doc_and_its_form(dags, name):
    serialised = DagSerialization.to_dict(dags[name])["dag"]
    assert serialised["doc_md"].startswith(f"# {name}")
    assert [param for param, _ in serialised["params"]] == ["window", "trials", "workers", "refresh", "as_of"]


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_the_task_that_judges_has_a_link_to_its_report(dags, name):
    tasks = {task["__var"]["task_id"]: task["__var"] for task in DagSerialization.to_dict(dags[name])["dag"]["tasks"]}
    assert tasks["evaluate"]["_operator_extra_links"] == {"Report": "_link_ReportLink"}


def test_flights_runs_every_day_over_the_day_that_ended(dags):
    timetable = DagSerialization.to_dict(dags["flights"])["dag"]["timetable"]
    assert timetable["__type"].endswith("CronDataIntervalTimetable")
    assert timetable["__var"] == {"expression": "0 0 * * *", "timezone": "UTC"}
    assert not dags["flights"].catchup


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_parsing_a_dag_imports_nothing_heavy_and_opens_no_socket(file):
    script = f"""
import socket, sys, airflow.sdk, runpy
def refuse(*_, **__): raise RuntimeError("a socket at parse time")
socket.socket.connect = refuse
runpy.run_path({str(file)!r})
heavy = {{"torch", "pandas", "numpy", "wandb", "sklearn", "onnxruntime", "pandera", "pyarrow", "optuna", "kubernetes"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
