from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sailplane.commands import clean
from sailplane.errors import ConfigurationError, ServiceError
from sailplane.evaluation import library
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.services import retention
from sailplane.services.programs import programs
from sailplane.storage import Storage
from sailplane.supervisor import Program, Supervisor
from sailplane.sweeps import lifecycle, queue
from sailplane.sweeps.space import parse
from tests.homes import new_ledger
from tests.unit.commands.test_cli import sailplane

DAY = 86400.0
SWEEP = "method: random\nmetric: {name: auc}\nparameters: {x: {min: 0.0, max: 1.0}}\nrun_cap: 1\n"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _ledger(home: Home) -> None:
    new_ledger(home.ledger)


def put(path: Path, *, days: float, content: str = "x") -> Path:
    """Writes the file. It and its folders, below the test's own folder, get this age."""
    top = Path(tempfile.gettempdir()).parent
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    for one in (path, *(folder for folder in path.parents if top in folder.parents)):
        os.utime(one, (time.time() - days * DAY,) * 2)
    return path


def cleaned(home: Home) -> set[str]:
    """Cleans the home. Returns the names of all deleted files, which a dry run showed before."""
    before = {str(file) for file in home.root.rglob("*") if file.is_file()}
    shown = {item.name for one in clean.find(home) for item in one.items}
    assert {str(file) for file in home.root.rglob("*") if file.is_file()} >= before
    ended = sailplane(home, "clean", "--yes", TMPDIR=tempfile.gettempdir())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {item.name for one in clean.find(home) for item in one.items} == set()
    return shown


@pytest.mark.slow
def test_things_older_than_their_retention_go_and_younger_things_stay(home: Home, temporary: Path) -> None:
    root, logs = home.root, home.airflow / "logs"
    gone, kept = [], []
    for days, files in ((61, gone), (59, kept)):
        name = f"r{days}"
        files += [
            put(home.jobs / f"churn/{name}/train/job.json", days=days, content="{}"),
            put(logs / f"dag_id=churn/run_id={name}/task_id=train/attempt=1.log", days=days),
            put(home.logs / f"model-churn-{name}.log.1", days=days),
        ]
    for days, files in ((91, gone), (89, kept)):
        files.append(put(root / f"wandb/offline-run-2026-{days}/run-{days}.wandb", days=days))
        files.append(put(root / f"wandb/run-2026-{days}/run-{days}.wandb", days=days))
    for days, files in ((8, gone), (6, kept)):
        files += [
            put(logs / f"dag_processor/2026-01-{days:02}/dags-folder/churn.py.log", days=days),
            put(root / f"reproduce-{days}/model/bundle.onnx", days=days),
            put(root / f".secrets.json.{days}.0123abcd", days=days),
            put(root / f"store/runs/churn/{days}/model.onnx#{days}", days=days),
            put(temporary / f"sailplane-{days}/scratch.parquet", days=days),
        ]
    gone.append(put(home.serving / "models/churn/gone/model.onnx", days=2))
    kept += [
        put(home.serving / "models/churn/arriving/model.onnx", days=0.5),
        put(temporary / "sailplane-0-0123456789ab/supervisor.sock", days=900),
        put(temporary / "somebody-elses/file", days=900),
        put(root / "store/datasets/churn/partitions/2020-01-01/a.parquet", days=900),
        put(root / "store/requests/churn/1/2020-01-01/a.parquet", days=900),
    ]
    names = cleaned(home)
    assert [file for file in gone if file.exists()] == []
    assert [file for file in kept if not file.exists()] == []
    assert len(names) == len(gone)
    assert not (home.jobs / "churn/r61").exists(), "an empty folder is left"


@pytest.mark.slow
def test_one_young_file_keeps_a_whole_folder(home: Home) -> None:
    put(home.jobs / "churn/r/train/job.json", days=100, content="{}")
    put(home.jobs / "churn/r/train/log.txt", days=1)
    put(home.airflow / "logs/dag_id=churn/run_id=r/task_id=a/attempt=1.log", days=100)
    put(home.airflow / "logs/dag_id=churn/run_id=r/task_id=b/attempt=1.log", days=1)
    assert cleaned(home) == set()


@pytest.mark.slow
def test_a_job_that_runs_stays_however_silent_it_is(home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        try:
            handle = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
            put(home.jobs / "churn/r/train/job.json", days=100, content="{}")
            put(home.jobs / "churn/r/train/process.json", days=100, content=json.dumps(handle))
            assert cleaned(home) == set()
        finally:
            process.kill()
    assert cleaned(home) == {"jobs/churn/r/train"}


@pytest.mark.slow
def test_jobs_of_a_sweep_stay_until_it_has_no_more_trials_to_give(home: Home) -> None:
    ledger = Ledger.at(home)
    lifecycle.create(ledger, "churn/s", parse(SWEEP))
    put(home.jobs / "churn/s/sweep.worker.0/job.json", days=100, content='{"sweep": "churn/s"}')
    assert cleaned(home) == set()
    trial = queue.ask(ledger, "churn/s", "w")
    assert trial
    queue.finish(ledger, trial, "w", 0.5)
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE sweeps SET created = 1")
        connection.exec_driver_sql("UPDATE trials SET lease_until = 1")
    assert cleaned(home) == {"jobs/churn/s/sweep.worker.0"}


@pytest.mark.slow
def test_the_bundle_and_the_log_of_a_deployed_version_stay(home: Home) -> None:
    prepared = programs(home)
    assert prepared
    (home.serving / "models/churn").mkdir(parents=True)
    supervisor = Supervisor(home)
    supervisor.put(Program("model-churn-abc", ("true",)))
    put(home.serving / "models/churn/abc/model.onnx", days=400)
    put(home.serving / "models/churn/.abc.123/model.onnx", days=400)
    put(home.logs / "model-churn-abc.log", days=400)
    assert cleaned(home) == {"serving/models/churn/.abc.123"}


@pytest.mark.slow
def test_requests_are_kept_for_ever_unless_a_setting_says_how_long(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(home.store)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    old = {"requests/churn/1/2026-01-01/a.parquet", "feedback/churn/2026-01-01/a.parquet"}
    new = {f"requests/churn/1/{today}/a.parquet", "requests/churn/readme.txt"}
    for path in old | new:
        storage.put(path, b"x")
    put(home.requests / "churn/1/a.unreadable", days=400)
    assert cleaned(home) == set()
    monkeypatch.setenv("SAILPLANE_KEEP_REQUESTS_DAYS", "30")
    shown = {item.name for one in clean.find(home) for item in one.items}
    assert shown == {*old, "requests/churn/1/a.unreadable"}
    ended = sailplane(home, "clean", "--yes", SAILPLANE_KEEP_REQUESTS_DAYS="30", TMPDIR=tempfile.gettempdir())
    assert ended.returncode == 0
    assert set(storage.list()) - {"sailplane.json"} == new


@pytest.mark.slow
def test_reports_of_earlier_releases_give_up_their_copy_of_the_library(home: Home) -> None:
    storage, script = Storage(home.store), library.source()
    policy = "<meta content=\"default-src 'none'; script-src 'sha256-a' 'sha256-b'; style-src 'unsafe-inline'\">"
    old = f"<html>{policy}<p>flights</p><script>{script}</script><script>draw()</script></html>"
    for run in ("churn/1/train", "churn/2/train"):
        storage.put(f"runs/{run}/report.html", old.encode())
    assert cleaned(home) == {"runs/churn/1/train/report.html", "runs/churn/2/train/report.html"}
    sizes = {entry.path: entry.size for entry in storage.entries()}
    assert sum(sizes.values()) < len(script.encode()) + 2000
    stored = storage.get("runs/churn/2/train/report.html").decode()
    assert "'sha256-a' 'sha256-b' file:;" in stored
    assert library.inlined(storage, stored) == old


@pytest.mark.slow
def test_a_dry_run_names_each_thing_and_deletes_nothing(home: Home) -> None:
    log = put(home.airflow / "logs/dag_id=churn/run_id=r/task_id=a/attempt=1.log", days=100)
    ended = sailplane(home, "clean", "--dry-run")
    assert ended.returncode == 0
    assert "airflow/logs/dag_id=churn/run_id=r" in ended.stdout
    for kind in (*clean._FIND, retention.RUNS):
        assert kind.name in ended.stdout
    assert log.exists()


@pytest.mark.slow
def test_without_a_terminal_only_yes_deletes(home: Home) -> None:
    log = put(home.airflow / "logs/dag_id=churn/run_id=r/task_id=a/attempt=1.log", days=100)
    ended = sailplane(home, "clean")
    assert ended.returncode == 1
    assert "Pass --yes" in ended.stderr
    assert log.exists()


def test_one_thing_that_cannot_be_deleted_is_named_and_the_rest_goes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked() -> None:
        raise PermissionError(13, "Permission denied", "first")

    other = put(home.logs / "model-a-1.log", days=100)
    item = clean.Expired("first", 1, locked)
    with pytest.raises(ServiceError, match="delete first"):
        clean._delete([item, clean.Expired("second", 1, other.unlink)])
    assert not other.exists()


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "1000000", "9" * 5000])
def test_a_retention_that_is_no_number_of_days_is_refused_by_name(value: str) -> None:
    with pytest.raises(ConfigurationError, match="SAILPLANE_KEEP_WANDB_DAYS"):
        retention.WANDB.kept({"SAILPLANE_KEEP_WANDB_DAYS": value})


def test_a_setting_changes_a_retention_or_ends_it() -> None:
    assert retention.WANDB.kept({}) == 90
    assert retention.WANDB.kept({"SAILPLANE_KEEP_WANDB_DAYS": "7"}) == 7
    assert retention.WANDB.kept({"SAILPLANE_KEEP_WANDB_DAYS": "forever"}) is None
