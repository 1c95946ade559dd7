"""A sweep and its trials in the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from sailplane.errors import ConfigurationError, TrainingError
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import reports, stops, sweep_jobs, sweeps
from sailplane.ledger.tables import trials as table
from sailplane.records import Run, Trial
from sailplane.sweeps.space import SweepConfig


@dataclass(frozen=True)
class Sweep:
    """The constant properties of a sweep. `created` is in seconds since 1970."""

    config: SweepConfig
    seed: int
    created: float


def read(ledger: Ledger, sweep: str) -> Sweep:
    """The sweep's constant properties. Raises ConfigurationError for an unknown sweep."""
    return _read(ledger, sweep)


@persistent
def names(ledger: Ledger) -> list[str]:
    """Sweep names, newest first."""
    with ledger.begin() as connection:
        return list(connection.execute(sa.select(sweeps.c.id).order_by(sweeps.c.created.desc())).scalars())


@persistent
def trials(ledger: Ledger, sweep: str) -> tuple[Trial, ...]:
    """The sweep's trials, by number."""
    with ledger.begin() as connection:
        return trials_of(connection, sweep)


def trials_of(connection: sa.Connection, sweep: str) -> tuple[Trial, ...]:
    """`trials` within a transaction."""
    values: dict[int, list[float]] = defaultdict(list)
    reported = sa.select(reports.c.number, reports.c.value).where(reports.c.sweep == sweep)
    for number, value in connection.execute(reported.order_by(reports.c.number, reports.c.step)):
        values[number].append(value)
    rows = connection.execute(sa.select(table).where(table.c.sweep == sweep).order_by(table.c.number)).mappings()
    return tuple(_trial(row, values[row["number"]]) for row in rows)


@persistent
def failures(ledger: Ledger, sweep: str) -> dict[int, str]:
    """The reasons of failed trials, by number."""
    query = sa.select(table.c.number, table.c.error).where(table.c.sweep == sweep, table.c.state == "failed")
    with ledger.begin() as connection:
        return {row.number: row.error for row in connection.execute(query.order_by(table.c.number))}


@persistent
def ended(ledger: Ledger, sweep: str) -> int:
    """The number of trials that finished or failed."""
    query = sa.select(sa.func.count()).where(table.c.sweep == sweep, table.c.state != "running")
    with ledger.begin() as connection:
        return int(connection.execute(query).scalar_one())


@persistent
def job(ledger: Ledger, sweep: str) -> dict[str, Any] | None:
    """The SweepWorkerSpec of its trials, as the DAG defined it; None if there is none."""
    with ledger.begin() as connection:
        return connection.execute(sa.select(sweep_jobs.c.spec).where(sweep_jobs.c.sweep == sweep)).scalar_one_or_none()


def unlike(ledger: Ledger, sweep: str, config: SweepConfig, seed: int, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The differences between the sweep's trials and trials with these arguments; empty if the sweep does not exist."""
    if sweep not in names(ledger):
        return ()
    known, before = read(ledger, sweep), job(ledger, sweep)
    found = [] if (known.config, known.seed) == (config, seed) else ["configuration of the sweep"]
    if before is None:
        return tuple(found)
    codes = {trial.run.code for trial in trials(ledger, sweep) if trial.run and trial.run.code}
    sources = {before["sources"]} if before.get("sources") else codes
    if sources - {spec["sources"]}:
        found.append("code")
    if before["dataset"]["version"] != spec["dataset"]["version"]:
        found.append("dataset")
    compared = ("as_of", "features", "train", "config", "precision", "stream")
    if any(before.get(key, spec[key]) != spec[key] for key in compared):
        found.append("configuration of the train step")
    return tuple(found)


@persistent
def last_step(ledger: Ledger, sweep: str, number: int) -> int | None:
    """The last step that the trial reported; None if it reported nothing."""
    query = sa.select(sa.func.max(reports.c.step)).where(reports.c.sweep == sweep, reports.c.number == number)
    with ledger.begin() as connection:
        return connection.execute(query).scalar_one_or_none()


@persistent
def held_by(ledger: Ledger, sweep: str, worker: str) -> Trial | None:
    """The trial that this worker holds."""
    own = sa.and_(table.c.sweep == sweep, table.c.worker == worker, table.c.state == "running")
    with ledger.begin() as connection:
        row = connection.execute(sa.select(table.c.number, table.c.config).where(own)).one_or_none()
    return Trial(sweep=sweep, number=row.number, config=row.config, state="running") if row else None


@persistent
def is_open(ledger: Ledger, sweep: str) -> bool:
    """Whether a trial is running, which would be assigned again if its worker died."""
    query = sa.select(sa.func.count()).where(table.c.sweep == sweep, table.c.state == "running")
    with ledger.begin() as connection:
        return bool(connection.execute(query).scalar_one())


@persistent
def stopped(ledger: Ledger, sweep: str) -> str | None:
    """Why the sweep was stopped early; None if it was not."""
    with ledger.begin() as connection:
        return connection.execute(sa.select(stops.c.reason).where(stops.c.sweep == sweep)).scalar_one_or_none()


def best(ledger: Ledger, sweep: str) -> Run:
    """The run of the best trial. Raises TrainingError if no trial finished."""
    trial = best_trial(ledger, sweep)
    if trial.run is None:
        raise TrainingError("choose the best of sweep", sweep, got=f"trial {trial.number} finished without a run")
    return trial.run


def best_trial(ledger: Ledger, sweep: str) -> Trial:
    """The first of `ranked`. Raises TrainingError with the reasons of all failures if no trial finished."""
    found = ranked(read(ledger, sweep).config, trials(ledger, sweep))
    if not found:
        reasons = failures(ledger, sweep)
        got = f"none of its {len(reasons)} trials finished" if reasons else "no trial has finished"
        each = "".join(f"\ntrial {number}: {reason}" for number, reason in reasons.items())
        raise TrainingError("choose the best of sweep", sweep, got=f"{got}{each}".rstrip("."))
    return found[0]


def ranked(config: SweepConfig, found: tuple[Trial, ...]) -> list[Trial]:
    """The finished trials, best score first by the sweep's goal; earlier trials first among equals."""
    sign = -1 if config.maximize else 1
    finished = [trial for trial in found if trial.state == "finished"]
    return sorted(finished, key=lambda trial: (sign * (trial.score or 0.0), trial.number))


@lru_cache(maxsize=256)
@persistent
def _read(ledger: Ledger, sweep: str) -> Sweep:
    query = sa.select(sweeps.c.config, sweeps.c.seed, sweeps.c.created).where(sweeps.c.id == sweep)
    with ledger.begin() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise ConfigurationError("find sweep", sweep, got="the ledger has no such sweep")
    return Sweep(SweepConfig.from_dict(row.config), row.seed, row.created)


def _trial(row: Mapping[Any, Any], values: list[float]) -> Trial:
    run = Run.from_dict(row["run"]) if row["run"] else None
    kept: dict[str, Any] = {key: row[key] for key in ("sweep", "number", "config", "state", "score")}
    return Trial(**kept, values=tuple(values), run=run)
