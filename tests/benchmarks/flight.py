"""The time from the trigger to the served model on the default window, compared with Airflow alone with the same tasks,
empty."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from sailplane.records import Deployment
from sailplane.services.airflow_api import DagRun
from tests.benchmarks import verified
from tests.benchmarks.memory import pss_megabytes
from tests.benchmarks.row import Row
from tests.platform import Platform, started, until

PROJECT = Path(__file__).parents[2]
FLOOR = """
from airflow.sdk import dag, task, task_group


@dag(schedule=None)
def floor():
    @task
    def ingest(): ...

    @task
    def train(): ...

    @task_group
    def sweep():
        @task
        def create():
            return [1, 2]

        @task
        def worker(n): ...

        @task
        def best(): ...

        worker.expand(n=create()) >> best()

    @task
    def evaluate(): ...

    @task
    def deploy(): ...

    ingest() >> train() >> sweep() >> evaluate() >> deploy()


floor()
"""


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder:
        project = Path(folder, "project")
        for name in ("dags", "include"):
            shutil.copytree(PROJECT / name, project / name)
        (project / "dags" / "floor.py").write_text(FLOOR)
        with started(Path(folder, "home"), project) as platform:
            empty = pss_megabytes(platform.home)
            served, flight = _seconds_to_served(platform)
            one = pss_megabytes(platform.home)
            assert platform.wait(platform.trigger("digits")) == "success"
            two = pss_megabytes(platform.home)
            run = platform.trigger("floor")
            floor = _seconds(platform, run)
            verified.tasks("Airflow's floor", platform.tasks(run), platform.tasks(flight))
    yield Row("trigger to served model", served, floor, "s", "Airflow's floor: the same tasks, empty", "at most 60")
    for name, memory in (("one model", one), ("two models", two)):
        yield Row(f"memory, {name} served", memory, empty, "MB PSS", "the same services before", "at most 1300")


def _seconds_to_served(platform: Platform) -> tuple[float, DagRun]:
    begun = time.monotonic()
    run = platform.trigger("flights")
    assert platform.wait(run) == "success"
    endpoint = Deployment.from_dict(platform.xcom(run, "deploy")).endpoint
    until(lambda: _answers(endpoint.replace("/api/v1.0/predictions", "/health/status")), 30, "the model")
    return time.monotonic() - begun, run


def _seconds(platform: Platform, run: DagRun) -> float:
    begun = time.monotonic()
    assert platform.wait(run) == "success"
    return time.monotonic() - begun


def _answers(url: str) -> bool | None:
    return True if httpx.get(url, trust_env=False).status_code == 200 else None
