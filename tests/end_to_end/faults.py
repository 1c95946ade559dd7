"""The faults of the project `faulty` and their errors, and functions that act on a run and look at its results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sailplane.records import Deployment
from sailplane.services.airflow_api import DagRun
from sailplane.training.jobs import Job, running
from tests.platform import Platform, until

FAULTY = Path(__file__).parent / "faulty"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = 21
# The place of a window that lies years ahead, whenever the tests run.
AHEAD = 80 + (datetime.now(UTC) - FIRST).days // WINDOW
# Later than all others: a run with an earlier as-of than the champion's is never deployed.
SERVED = datetime(2026, 11, 21, tzinfo=UTC)


def as_of_at(place: int) -> datetime:
    return FIRST + timedelta(days=WINDOW * (place + 1))


@dataclass(frozen=True)
class Fault:
    """`says` lists parts of the error; {day} is the spoiled day. `days` and `versions` count what may be stored. `dag`
    has no stage that the fault does not need."""

    name: str
    place: int
    task: str
    says: tuple[str, ...]
    days: int = WINDOW
    versions: int = 1
    dag: str = "trained"

    @property
    def as_of(self) -> datetime:
        return as_of_at(self.place)

    @property
    def interval(self) -> set[str]:
        return {f"{self.as_of - timedelta(days=n + 1):%Y-%m-%d}" for n in range(WINDOW)}


DATA_FAULTS = (
    Fault(
        name="an empty day",
        place=0,
        task="ingest",
        says=("EmptyDataError: ingest tiny: no rows on {day}; expected good rows", "Check the rows"),
        days=WINDOW - 1,
        versions=0,
    ),
    Fault(
        name="a missing column",
        place=1,
        task="ingest",
        says=("SchemaError: read column 'height': it is missing", "Return it from extract, or change the schema."),
        days=0,
        versions=0,
    ),
    Fault(
        name="a wrong type",
        place=2,
        task="ingest",
        says=("SchemaError: read column 'height': type str, like '", "a finite number. Convert it in extract"),
        days=0,
        versions=0,
    ),
    Fault(
        name="a day of bad rows",
        place=3,
        task="ingest",
        says=(
            "SchemaError: ingest tiny: only bad rows on {day}, like height: in_range(-10, 10): 100 (60 of 60 rows)",
            "Check the rows",
        ),
        days=WINDOW - 1,
        versions=0,
    ),
    Fault(
        name="no labels",
        place=4,
        task="train",
        says=(
            "LabelError: read labels of tiny ",
            "all 420 rows have an empty 'good'",
            "sailplane datasets refresh",
        ),
    ),
)
CODE_FAULTS = (
    Fault(
        name="raises",
        place=5,
        task="train",
        says=(
            "TrainingError: train include.tiny.model:train: KeyError: 'colour' (model.py:{line} in _look_up)",
            "The log holds the full traceback.",
        ),
    ),
    Fault(
        name="gives NaN",
        place=6,
        task="train",
        says=(
            "TrainingError: train include.tiny.model:train: 2 of 2 weights of 'linear.weight' are NaN or infinite",
            "a learning rate that is too high",
        ),
    ),
    Fault(
        name="gives no model",
        place=7,
        task="train",
        says=(
            "TrainingError: train include.tiny.model:train: it returned",
            "expected a torch.nn.Module. Return the trained model",
        ),
    ),
)
TYPO = Fault(
    name="a typo in the sweep file",
    place=8,
    task="sweep.create",
    dag="tiny",
    says=("SweepFileError: sweep.yaml:5: unknown key 'paramters'", "Did you mean 'parameters'?"),
)
TOO_EARLY = Fault(
    name="an as-of years ahead",
    place=AHEAD,
    task="ingest",
    says=(
        f"ConfigurationError: run as of {as_of_at(AHEAD):%Y-%m-%d}: "
        f"the day {as_of_at(AHEAD) - timedelta(days=1):%Y-%m-%d} is complete from",
        "or name an earlier as_of.",
    ),
    days=0,
    versions=0,
)
FAULTS = (*DATA_FAULTS, *CODE_FAULTS, TYPO, TOO_EARLY)
RECORDS = [{"time": "2026-11-21T12:00:00Z", "height": height, "width": 0.5} for height in (-1.0, 0.0, 1.0)]


def spoil(platform: Platform, as_of: datetime, fault: str | None) -> None:
    """Gives the code of the run with this as-of the fault, or removes it."""
    file = platform.home.project / "faults" / f"{as_of:%Y-%m-%d}.txt"
    if fault is None:
        file.unlink()
    else:
        file.write_text(fault)


def trigger(platform: Platform, as_of: datetime, dag: str = "tiny", **params: int) -> DagRun:
    return platform.trigger(dag, {"as_of": f"{as_of:%Y-%m-%d}", "window": WINDOW, **params})


def clear(platform: Platform, run: DagRun) -> DagRun:
    """Clears the failed tasks, and the tasks that did not start because of them."""
    body = {"dry_run": False, "dag_run_id": run.id, "only_failed": True}
    platform.api("POST", f"/dags/{run.dag}/clearTaskInstances", body)
    return run


def instance(platform: Platform, run: DagRun, task: str) -> dict[str, Any]:
    return dict(platform.api("GET", f"{run.path}/taskInstances/{task}"))


def log_entries(platform: Platform, run: DagRun, task: str, attempt: int) -> list[dict[str, Any]]:
    """Returns an empty list until the attempt exists."""
    path = f"{run.path}/taskInstances/{task}/logs/{attempt}"
    found = platform.airflow.find(path, full_content=True) or {"content": []}
    return [entry for entry in found["content"] if isinstance(entry, dict)]


def log(platform: Platform, run: DagRun, task: str, attempt: int) -> str:
    return "\n".join(str(entry["event"]) for entry in log_entries(platform, run, task, attempt))


def the_error(platform: Platform, run: DagRun, task: str, attempt: int | None = None) -> str:
    """Returns class and text of the only exception in the log of the attempt; None means the last attempt."""
    entries = log_entries(platform, run, task, attempt or instance(platform, run, task)["try_number"])
    errors = [entry["error_detail"] for entry in entries if entry.get("error_detail")]
    assert len(errors) == 1, entries
    return f"{errors[0][0]['exc_type']}: {errors[0][0]['exc_value']}"


def line_that_raises() -> int:
    lines = (FAULTY / "include" / "tiny" / "model.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if "[name]" in line)


def waiting_job(platform: Platform, as_of: datetime, task: str) -> Job:
    """Returns the run's job once its train function waits."""

    def found() -> Job | None:
        for file in platform.home.jobs.glob(f"*/*/{task}/job.json"):
            job = Job(file.parent)
            if json.loads(file.read_text())["as_of"] == as_of.isoformat() and "waiting" in job.read_log()[0]:
                return job
        return None

    return until(found, 120, f"{task} of {as_of:%Y-%m-%d}")


def asking(platform: Platform, as_of: datetime) -> DagRun:
    """Starts a run of the DAG `asked`, and waits until it asks a person."""
    run = platform.trigger("asked", {"as_of": f"{as_of:%Y-%m-%d}"})
    # If the answer comes sooner, the scheduler mistakes the end of the process that asked for the end of the task.
    key = f"TaskInstanceKey(dag_id='asked', task_id='approve', run_id='{run.id}'"
    event = f"Received executor event with state success for task instance {key}"
    scheduler = platform.home.logs / "scheduler.log"
    until(lambda: event in scheduler.read_text() or None, 180, "the question")
    assert instance(platform, run, "approve")["state"] == "deferred", platform.task_logs(run)
    return run


def pid_of(job: Job) -> int:
    return int(json.loads((job.folder / "process.json").read_text())["pid"])


def steps(job: Job) -> list[int]:
    """Returns the epochs in the log of the process that trained last."""
    lines = job.log.read_text().splitlines()
    return [int(line.removeprefix("step ").partition(":")[0]) for line in lines if line.startswith("step ")]


def ask(deployment: Deployment) -> Any:
    answer = httpx.post(deployment.endpoint, json={"jsonData": RECORDS}, trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def drafts(platform: Platform) -> list[Path]:
    """Returns unfinished files of processes that have ended, except Airflow's own files and W&B's records."""
    home, store = platform.home, platform.store
    at_work = [job.folder for job in running(home.jobs)]
    jobs = [file.parent for file in home.jobs.rglob("job.json") if file.parent not in at_work]
    folders = (store, *jobs, home.serving, home.supervisor, Path(platform.env["TMPDIR"]))
    found = [path for folder in folders for path in folder.rglob("*")]
    return [path for path in found if path.name.startswith((".", "tmp", "sailplane-", "scratch"))]
