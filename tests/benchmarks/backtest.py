"""A backtest of 30 days, compared with the part that nobody can save: its trainings, one after the other, and Airflow
alone with the same tasks, empty. BENCH_DAYS=3 for a first look."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from sailplane.ledger import Ledger
from sailplane.records import Interval
from sailplane.records import Run as TrainingRun
from sailplane.services.airflow_api import AirflowApi, DagRun
from sailplane.services.backfill import Backfill
from sailplane.sweeps import results
from tests.benchmarks import verified
from tests.benchmarks.flight import FLOOR, PROJECT
from tests.benchmarks.row import Row
from tests.platform import Platform, started, until

DAYS = int(os.environ.get("BENCH_DAYS", "30"))
# The trials of a run's sweep: as many as the file's run_cap.
AT_A_TIME, TRIALS = 2, 4
FIRST = datetime(2026, 10, 1, tzinfo=UTC)
PERIOD = Interval(start=FIRST, end=FIRST + timedelta(days=DAYS))
DAILY = """
@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2014, 1, 1),
    catchup=False,
)"""
HOUR = 3600.0


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="sailplane-bench-") as folder:
        project = Path(folder, "project")
        for name in ("dags", "include"):
            shutil.copytree(PROJECT / name, project / name)
        (project / "dags" / "floor.py").write_text(_daily(FLOOR))
        with started(Path(folder, "home"), project) as platform:
            for dag in ("flights", "floor"):
                _unpause(platform, dag)
            ours, trainings, run = _backtest(platform)
            floor = _floor(platform, run)
    peer_is = f"its {len(trainings)} trainings one by one + the same tasks, empty"
    yield Row(f"a backtest of {DAYS} days", ours, sum(trainings) + floor, "s", peer_is, "at most 1.3 times")


def _daily(text: str) -> str:
    imports = (
        "from datetime import datetime\n\nfrom airflow.sdk import CronDataIntervalTimetable, dag, task, task_group"
    )
    return text.replace("from airflow.sdk import dag, task, task_group", imports).replace(
        "\n@dag(schedule=None)", DAILY
    )


def _unpause(platform: Platform, dag: str) -> None:
    with AirflowApi(platform.home) as api:
        until(lambda: api.find(f"/dags/{dag}"), 120, f"the DAG {dag}")
        api.call("PATCH", f"/dags/{dag}", {"is_paused": False})


def _backtest(platform: Platform) -> tuple[float, list[float], DagRun]:
    """Runs a backtest. Returns its seconds, those of each of its trainings, and its last run."""
    days = ("--from", f"{FIRST:%Y-%m-%d}", "--to", f"{PERIOD.days[-1]:%Y-%m-%d}", "--max-active", str(AT_A_TIME))
    begun = time.monotonic()
    ended = platform.sailplane("backtest", "flights", *days, "--json", seconds=3 * HOUR)
    seconds = time.monotonic() - begun
    assert ended.returncode == 0, ended.stderr
    runs = [DagRun("flights", day["dag_run"]) for day in json.loads(ended.stdout)["days"]]
    assert len(runs) == DAYS
    trainings = [training for run in runs for training in _trainings(platform, run)]
    assert len(trainings) == DAYS * (1 + TRIALS), f"{len(trainings)} trainings"
    return seconds, trainings, runs[-1]


def _trainings(platform: Platform, run: DagRun) -> Iterator[float]:
    yield TrainingRun.from_dict(platform.xcom(run, "train")).seconds
    best = TrainingRun.from_dict(platform.xcom(run, "sweep.best"))
    assert best.sweep
    for trial in results.trials(Ledger.create(platform.home.ledger), best.sweep):
        if trial.run:
            yield trial.run.seconds


def _floor(platform: Platform, ours: DagRun) -> float:
    """Runs Airflow alone, with as many runs of the same tasks."""
    with AirflowApi(platform.home) as api:
        backfill = Backfill(api, "floor", PERIOD)
        begun = time.monotonic()
        backfill.create(at_a_time=AT_A_TIME, again=False)
        failed = backfill.follow(Console(stderr=True))
        assert failed == []
        seconds = time.monotonic() - begun
        runs = [
            DagRun("floor", run["dag_run_id"]) for run in api.call("GET", "/dags/floor/dagRuns", limit=100)["dag_runs"]
        ]
    assert len(runs) == DAYS
    for run in runs:
        verified.tasks("Airflow alone", platform.tasks(run), platform.tasks(ours))
    return seconds
