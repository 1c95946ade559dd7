"""`git pull && make up` over the home of an earlier release keeps models, sweeps and a running rollout. Then the store
moves while the sweep runs, and the run ends in the new store.

homes/2026-11-23.tar.xz is a home of the code of commit c1c4c4f, with its project: DAGs of the project `faulty`, whose
rollout waits for requests without a limit. All processes were killed at once, as by a power failure. Its databases are
SQL. Logs, reports and W&B records are left out. All paths in it begin with PLACE.

The test takes two minutes: it starts the services twice and finishes a rollout and a sweep."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sailplane.deployment.rollout import records
from sailplane.ledger import Ledger
from sailplane.ledger.schema import REVISION
from sailplane.records import Evaluation, Trial
from sailplane.registry.models import alias, versions
from sailplane.services.airflow_api import DagRun
from sailplane.services.served import all_served
from sailplane.sweeps import results
from tests.background_load import asked_all_the_time
from tests.end_to_end.faults import ask, spoil
from tests.platform import Platform, new_platform, until

HOME = Path(__file__).parent / "homes" / "2026-11-23.tar.xz"
PLACE = b"/tmp/home-of-23-november"
ROLLING = DagRun("rolled", "manual__2026-11-23T19:39:15.783054+00:00")
SWEEPING = DagRun("tiny", "manual__2026-11-23T19:39:43.424022+00:00")
SWEPT, SWEEP = "tiny/manual__2026-11-23T19-38-31.877847", "tiny/manual__2026-11-23T19-39-43.424022"
AS_OF = datetime(2026, 5, 3, tzinfo=UTC)
FIRST, SECOND = "afc2195c3b61", "38eb56110fe8"


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks the archive as if it had been made in this folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        content = file.read_bytes()
        if PLACE in content:
            file.write_bytes(content.replace(PLACE, str(folder).encode()))
    for dump in folder.rglob("*.db.sql"):
        with closing(sqlite3.connect(dump.with_suffix(""))) as database:
            database.executescript(dump.read_text())
        dump.unlink()


def rows(file: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator[Platform]:
    unpack(HOME, tmp_path)
    platform = new_platform(tmp_path / "home", tmp_path / "project")
    with platform.airflow:
        yield platform


def test_up_over_the_home_of_23_november_keeps_all_of_it(earlier: Platform, tmp_path: Path) -> None:
    spoil(earlier, AS_OF, "waits in the sweep")
    file = earlier.home.root / "ledger.db"
    tables = {
        "models": "SELECT name, version, created FROM models ORDER BY created DESC",
        "aliases": "SELECT name, alias, version FROM aliases ORDER BY name, alias",
        "trials": "SELECT sweep, number, state, score FROM trials WHERE state = 'finished' ORDER BY sweep, number",
        "evaluations": "SELECT dag, dag_run, model, gate FROM evaluations ORDER BY created",
        "decisions": "SELECT * FROM rollout_decisions ORDER BY id",
    }
    before = {name: rows(file, query) for name, query in tables.items()}
    try:
        ended = earlier.sailplane("up", "--no-run")
        assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}\n{earlier.service_logs()}"
        copy = file.with_name(f"ledger.db.before-{REVISION}")
        said = f"Migrating the ledger from a release without revisions to revision {REVISION}. {copy} is a copy"
        assert said in ended.stdout
        for place in (file, copy):
            assert {name: rows(place, query)[: len(before[name])] for name, query in tables.items()} == before
        _models_answer(earlier)
        _the_rollout_goes_on(earlier)
        _the_sweep_goes_on_in_another_store(earlier, tmp_path / "moved")
    finally:
        earlier.sailplane("down")


def _models_answer(platform: Platform) -> None:
    assert {version.model.name for version in versions(Ledger.at(platform.home))} == {"rolled", "tiny"}
    served = all_served(platform.home)
    assert [deployment.name for deployment in served] == ["rolled", "tiny"]
    for deployment in served:
        assert len(ask(deployment)["ndarray"]) == 3
    shown = platform.sailplane("sweep", "show", SWEPT)
    assert "2 of 2" in shown.stdout, shown.stdout + shown.stderr


def _the_rollout_goes_on(platform: Platform) -> None:
    ledger = Ledger.at(platform.home)
    entry = records.active(ledger, "rolled")
    assert entry
    assert (entry.subject.version, entry.state.stage) == (SECOND, "baking 0")
    (served, _) = all_served(platform.home)
    with asked_all_the_time(lambda _: ask(served), pause=0.01):
        until(lambda: None if records.active(ledger, "rolled") else True, 120, "the end of the rollout")
    assert platform.wait(ROLLING) == "success"
    champion, previous = (alias(ledger, "rolled", name) for name in ("champion", "previous"))
    assert champion
    assert previous
    assert (champion.version, previous.version) == (SECOND, FIRST)


def _the_sweep_goes_on_in_another_store(platform: Platform, place: Path) -> None:
    """The first trial ends in the old store; `down` interrupts the second."""
    ledger, before = Ledger.at(platform.home), platform.store
    until(lambda: [trial.state for trial in trials(ledger)] == ["finished", "running"] or None, 120, "the second trial")
    (log,) = platform.home.jobs.glob(f"{SWEEP}/sweep.worker.*/log.txt")
    until(lambda: "waiting" in log.read_text() or None, 120, "its second epoch")
    ledger.engine.dispose()
    assert platform.sailplane("down").returncode == 0
    stored = {file: file.read_bytes() for file in before.rglob("*") if file.is_file()}
    moved = platform.sailplane("store", "move", place.as_uri())
    assert moved.returncode == 0, moved.stdout + moved.stderr
    spoil(platform, AS_OF, None)

    there = Platform(replace(platform.home, store=place.as_uri()), platform.env)
    ended = there.sailplane("up", "--no-run")
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}\n{there.service_logs()}"
    with there.airflow:
        assert there.wait(SWEEPING) == "success", there.service_logs()
        evaluated = Evaluation.from_dict(there.xcom(SWEEPING, "evaluate"))
    ledger = Ledger.at(there.home)
    assert [trial.state for trial in trials(ledger)] == ["finished", "finished"]
    for deployment in all_served(there.home):
        assert len(ask(deployment)["ndarray"]) == 3
        champion = alias(ledger, deployment.name, "champion")
        assert champion
        assert (champion.version, champion.uri.startswith(place.as_uri())) == (deployment.version, True)
    assert evaluated.run.bundle.startswith(place.as_uri())
    assert {file: file.read_bytes() for file in before.rglob("*") if file.is_file()} == stored


def trials(ledger: Ledger) -> tuple[Trial, ...]:
    return results.trials(ledger, SWEEP)
