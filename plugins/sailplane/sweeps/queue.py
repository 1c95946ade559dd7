"""The trial queue on the ledger. An ask is one transaction; a trial is held by a lease that its worker renews; a
lease that ended gives the trial, with the same configuration, to whoever asks next."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from sailplane.errors import ConfigurationError, TrainingError
from sailplane.ledger import Ledger
from sailplane.ledger.tables import sweeps
from sailplane.ledger.tables import trials as table
from sailplane.records import Run, Trial
from sailplane.sweeps.space import SweepConfig
from sailplane.sweeps.suggest import suggest

LEASE_SECONDS: Final = 30.0
# A trial that killed this many workers is given to no other one.
MOST_ATTEMPTS: Final = 3


def create_sweep(ledger: Ledger, sweep: str, config: SweepConfig, seed: int | None = None) -> None:
    """Idempotent; the trials of a sweep that exists stay. Raises ConfigurationError for a sweep without an end, and
    for one that exists with another configuration."""
    if config.size is None:
        raise ConfigurationError(
            "create sweep", sweep, got=f"method {config.method} without run_cap", remedy="Add run_cap to the file."
        )
    row = {"config": config.to_dict(), "seed": config.seed if seed is None else seed}
    with ledger.begin() as connection:
        found = connection.execute(sa.select(sweeps.c.config, sweeps.c.seed).where(sweeps.c.id == sweep)).one_or_none()
        if found is None:
            connection.execute(sa.insert(sweeps).values(id=sweep, created=time.time(), **row))
        elif found._asdict() != row:
            raise ConfigurationError(
                "create sweep", sweep, got="it exists with another configuration", remedy="Trigger a new run."
            )


def ask(ledger: Ledger, sweep: str, worker: str, lease_seconds: float = LEASE_SECONDS) -> Trial | None:
    """The next trial, held by `worker`, which must be unique to its process; None when none is left to give."""
    config, seed = read(ledger, sweep)
    if config.method == "bayes":
        import optuna  # noqa: F401  imported here, because the first import takes longer than others should wait
    lease = {"worker": worker, "lease_until": time.time() + lease_seconds}
    with ledger.begin() as connection:
        lost = _lost(connection, sweep)
        if lost is not None:
            taken = {**lease, "error": "\n".join(filter(None, [lost.error, f"{lost.worker} lost it"]))}
            connection.execute(sa.update(table).where(_key(sweep, lost.number)).values(**taken))
            return Trial(sweep=sweep, number=lost.number, config=lost.config, state="running")
        number = connection.execute(sa.select(sa.func.count()).where(table.c.sweep == sweep)).scalar_one()
        if number >= (config.size or 0):
            return None
        past = _trials(connection, sweep) if config.method == "bayes" else ()
        proposed = suggest(config, past, number, seed)
        if proposed is None:
            return None
        row = {"sweep": sweep, "number": number, "config": proposed, "state": "running", **lease}
        connection.execute(sa.insert(table).values(**row))
    return Trial(sweep=sweep, number=number, config=proposed, state="running")


def heartbeat(ledger: Ledger, trial: Trial, worker: str, lease_seconds: float = LEASE_SECONDS) -> bool:
    """Renew the lease. False: the trial is another worker's by now."""
    return _change(ledger, trial, worker, lease_until=time.time() + lease_seconds)


def release(ledger: Ledger, trial: Trial, worker: str) -> bool:
    """Give the trial back now, for the next one who asks: this worker was told to stop."""
    return _change(ledger, trial, worker, lease_until=0.0)


def finish(ledger: Ledger, trial: Trial, worker: str, score: float, run: Run | None = None) -> bool:
    """False, and nothing changed: the trial is another worker's by now. A score that is no number is a failure."""
    if not math.isfinite(score):
        return fail(ledger, trial, worker, f"its score is {score}")
    record = run.to_dict() if run else None
    return _change(ledger, trial, worker, state="finished", score=float(score), run=record, error=None)


def fail(ledger: Ledger, trial: Trial, worker: str, reason: str) -> bool:
    return _change(ledger, trial, worker, state="failed", error=reason)


def trials(ledger: Ledger, sweep: str) -> tuple[Trial, ...]:
    """By number."""
    with ledger.begin() as connection:
        return _trials(connection, sweep)


def failures(ledger: Ledger, sweep: str) -> dict[int, str]:
    """Why trials failed, by number."""
    query = sa.select(table.c.number, table.c.error).where(table.c.sweep == sweep, table.c.state == "failed")
    with ledger.begin() as connection:
        return {row.number: row.error for row in connection.execute(query.order_by(table.c.number))}


def is_open(ledger: Ledger, sweep: str) -> bool:
    """Whether a trial is running: should its worker die, it will be given again."""
    query = sa.select(sa.func.count()).where(table.c.sweep == sweep, table.c.state == "running")
    with ledger.begin() as connection:
        return bool(connection.execute(query).scalar_one())


def best(ledger: Ledger, sweep: str) -> Run:
    """The run of the best trial."""
    trial = best_trial(ledger, sweep)
    if trial.run is None:
        raise TrainingError("choose the best of sweep", sweep, got=f"trial {trial.number} finished without a run")
    return trial.run


def best_trial(ledger: Ledger, sweep: str) -> Trial:
    """The finished trial with the best score by the sweep's goal; the earlier of equals. Raises TrainingError if none
    finished, with each trial's reason."""
    config, _ = read(ledger, sweep)
    finished = [trial for trial in trials(ledger, sweep) if trial.state == "finished"]
    if not finished:
        reasons = failures(ledger, sweep)
        got = f"none of its {len(reasons)} trials finished" if reasons else "no trial has finished"
        each = "".join(f"\ntrial {number}: {reason}" for number, reason in reasons.items())
        raise TrainingError("choose the best of sweep", sweep, got=f"{got}{each}".rstrip("."))
    sign = -1 if config.goal == "maximize" else 1
    return min(finished, key=lambda trial: (sign * (trial.score or 0.0), trial.number))


def read(ledger: Ledger, sweep: str) -> tuple[SweepConfig, int]:
    """The sweep's configuration and seed; they never change."""
    return _read(ledger.engine, sweep)


@cache
def _read(engine: sa.Engine, sweep: str) -> tuple[SweepConfig, int]:
    with engine.begin() as connection:
        row = connection.execute(sa.select(sweeps.c.config, sweeps.c.seed).where(sweeps.c.id == sweep)).one_or_none()
    if row is None:
        raise ConfigurationError("find sweep", sweep, got="the ledger has none of that name")
    return SweepConfig.from_dict(row.config), row.seed


def _lost(connection: sa.Connection, sweep: str) -> sa.Row[Any] | None:
    """The first trial whose lease has ended. One that killed too many workers is failed here, for good."""
    ended = sa.select(table).where(
        table.c.sweep == sweep, table.c.state == "running", table.c.lease_until < time.time()
    )
    for row in connection.execute(ended.order_by(table.c.number)):
        lost_by = [*filter(None, (row.error or "").split("\n")), f"{row.worker} lost it"]
        if len(lost_by) < MOST_ATTEMPTS:
            return row
        reason = f"{len(lost_by)} workers died of it: {'; '.join(lost_by)}"
        connection.execute(sa.update(table).where(_key(sweep, row.number)).values(state="failed", error=reason))
    return None


def _trials(connection: sa.Connection, sweep: str) -> tuple[Trial, ...]:
    rows = connection.execute(sa.select(table).where(table.c.sweep == sweep).order_by(table.c.number)).mappings()
    return tuple(_trial(row) for row in rows)


def _trial(row: Mapping[Any, Any]) -> Trial:
    run = Run.from_dict(row["run"]) if row["run"] else None
    kept: dict[str, Any] = {key: row[key] for key in ("sweep", "number", "config", "state", "score")}
    return Trial(**kept, run=run)


def _key(sweep: str, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.sweep == sweep, table.c.number == number)


def _change(ledger: Ledger, trial: Trial, worker: str, **values: Any) -> bool:
    held = sa.and_(_key(trial.sweep, trial.number), table.c.worker == worker, table.c.state == "running")
    with ledger.begin() as connection:
        return connection.execute(sa.update(table).where(held).values(**values)).rowcount == 1
