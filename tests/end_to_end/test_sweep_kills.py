"""A sweep's workers, Airflow's scheduler and the database are killed at random moments: the sweep ends, no trial is
lost, and no trial finishes twice.

`make test` kills twenty times, which takes three minutes, because lost trials wait for the ends of their leases. `make
soak` (LONG=1) kills fifty times."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from sailplane import records
from sailplane.ledger import Ledger
from sailplane.services.airflow_api import DagRun
from sailplane.services.orphans import marked
from sailplane.storage import Storage
from sailplane.sweeps import results
from tests.end_to_end.faults import FAULTY, drafts
from tests.end_to_end.strikes import Striker, planned
from tests.platform import Platform, started, until
from tests.postgres import PostgreSQL, postgresql

pytestmark = pytest.mark.needs("postgresql")
SEED = 4
if "LONG" in os.environ:
    CAP, LATE = 60, 8
    KILLS = {"trainer": 10, "worker": 3, "scheduler": 5, "database": 32}
else:
    CAP, LATE = 30, 4
    KILLS = {"trainer": 5, "worker": 2, "scheduler": 2, "database": 11}
# Airflow gives up a dead scheduler and its tasks sooner than by default.
PATIENCE = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
}
# The database records each reassignment and each end of a trial in the same transaction.
WITNESS = """
CREATE TABLE notes (number integer, state text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO notes VALUES (NEW.number, NEW.state); RETURN NEW; END
$$;
CREATE TRIGGER notes AFTER UPDATE ON trials FOR EACH ROW
  WHEN (NEW.state <> 'running' OR NEW.worker <> OLD.worker) EXECUTE FUNCTION note();
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def ledger(server: PostgreSQL) -> Ledger:
    ledger = Ledger.create(server.database())
    with ledger.begin() as connection:
        connection.exec_driver_sql(WITNESS)
    return ledger


@pytest.fixture(scope="module")
def platform(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("kills")
    shutil.copytree(FAULTY, folder / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "scratch").mkdir()
    settings = {"SAILPLANE_LEDGER": str(ledger.engine.url), "TMPDIR": str(folder / "scratch")}
    with started(folder / "home", folder / "project", **settings, **PATIENCE) as running:
        yield running


@pytest.fixture(scope="module")
def sweep(platform: Platform, server: PostgreSQL, ledger: Ledger) -> tuple[DagRun, str]:
    """Runs the DAG and its sweep while all planned kills strike. Returns the successful run and the sweep's name."""
    run = platform.trigger("struck", {"as_of": "2026-01-22", "trials": CAP})
    name = until(lambda: next(iter(results.names(ledger)), None), 120, "the sweep")
    striker = Striker(platform, server, ledger, name)
    for kill in planned(SEED, KILLS, CAP, LATE):
        striker.strike(kill)
    assert striker.killed == KILLS
    assert platform.wait(run) == "success"
    return run, name


def test_every_trial_finishes_exactly_once(ledger: Ledger, sweep: tuple[DagRun, str]) -> None:
    found = results.trials(ledger, sweep[1])
    assert results.failures(ledger, sweep[1]) == {}
    assert [(trial.number, trial.state) for trial in found] == [(number, "finished") for number in range(CAP)]
    with ledger.begin() as connection:
        notes = connection.exec_driver_sql("SELECT number, state FROM notes").all()
    ends = sorted(tuple(note) for note in notes if note.state != "running")
    assert ends == [(trial.number, "finished") for trial in found]
    assert len(notes) - len(ends) >= 3, "kills have to strike trials"


def test_every_trial_has_its_model(platform: Platform, ledger: Ledger, sweep: tuple[DagRun, str]) -> None:
    store = Storage(platform.home.store)
    for trial in results.trials(ledger, sweep[1]):
        assert trial.run
        assert trial.run.metrics["validation_auc"] == trial.score
        assert f"{store.path(trial.run.bundle)}/model.onnx" in store.list(store.path(trial.run.bundle))


def test_the_best_trial_is_the_runs_result(platform: Platform, ledger: Ledger, sweep: tuple[DagRun, str]) -> None:
    run, name = sweep
    assert platform.tasks(run)["sweep.worker"] == ["success", "success"]
    best = results.best(Ledger.at(platform.home), name)
    assert records.Run.from_dict(platform.xcom(run, "sweep.best")) == best
    assert best.metrics["validation_auc"] == max(trial.score or 0.0 for trial in results.trials(ledger, name))


@pytest.mark.usefixtures("sweep")
def test_nothing_is_left(platform: Platform) -> None:
    assert platform.sailplane("down").returncode == 0
    assert marked(platform.home) == []
    assert drafts(platform) == []
