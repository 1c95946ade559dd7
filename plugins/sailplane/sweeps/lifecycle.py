"""The life of a sweep on the ledger: it is created, stopped, and may be restarted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import reports, shares, stops, sweep_jobs, sweeps, trials, wandb_sweeps
from sailplane.sweeps.results import Sweep, ended, read
from sailplane.sweeps.space import SweepConfig


@persistent
def create(
    ledger: Ledger, sweep: str, config: SweepConfig, seed: int = 0, job: Mapping[str, Any] | None = None
) -> None:
    """Creates the sweep. Idempotent: an existing sweep keeps its trials. The file's seed takes precedence over `seed`;
    `job` is a SweepWorkerSpec for workers on other machines. Raises ConfigurationError for an endless sweep, and for an
    existing sweep with another configuration."""
    if config.size is None and config.max_time is None:
        remedy = "Add run_cap to the file, or max_time under `sailplane`."
        raise ConfigurationError("create sweep", sweep, got=f"method {config.method} without run_cap", remedy=remedy)
    row = {"config": config.to_dict(), "seed": seed if config.seed is None else config.seed}
    with ledger.begin() as connection:
        found = connection.execute(sa.select(sweeps.c.config, sweeps.c.seed).where(sweeps.c.id == sweep)).one_or_none()
        if found is None:
            connection.execute(sa.insert(sweeps).values(id=sweep, created=time.time(), **row))
        elif (SweepConfig.from_dict(found.config).content(), found.seed) != (config.content(), row["seed"]):
            remedy = f"Trigger a new run, or restart this sweep with `sailplane sweep restart {sweep}`."
            raise ConfigurationError("create sweep", sweep, got="it exists with another configuration", remedy=remedy)
        if job is not None:
            connection.execute(sa.delete(sweep_jobs).where(sweep_jobs.c.sweep == sweep))
            connection.execute(sa.insert(sweep_jobs).values(sweep=sweep, spec=dict(job)))


@persistent
def restart(ledger: Ledger, sweep: str) -> int:
    """Deletes all trials of the sweep and its configuration, so that it can be created again. Returns the number of
    trials. Raises ConfigurationError for an unknown sweep, or if a worker holds one of its trials."""
    read(ledger, sweep)
    running = sa.and_(trials.c.sweep == sweep, trials.c.state == "running", trials.c.lease_until > time.time())
    with ledger.begin() as connection:
        if connection.execute(sa.select(trials.c.number).where(running)).first() is not None:
            remedy = f"Stop it first: `sailplane sweep stop {sweep}`."
            raise ConfigurationError("restart sweep", sweep, got="a worker holds one of its trials", remedy=remedy)
        count = connection.execute(sa.select(sa.func.count()).where(trials.c.sweep == sweep)).scalar_one()
        for table in (reports, stops, shares, sweep_jobs, wandb_sweeps, trials):
            connection.execute(sa.delete(table).where(table.c.sweep == sweep))
        connection.execute(sa.delete(sweeps).where(sweeps.c.id == sweep))
    return int(count)


@persistent
def stop(ledger: Ledger, sweep: str, reason: str) -> None:
    """Assigns no more trials and stops the running ones, which count with their last score. Raises ConfigurationError
    for an unknown sweep."""
    read(ledger, sweep)
    with ledger.begin() as connection:
        stop_in(connection, sweep, reason)


@persistent
def close(ledger: Ledger, sweep: str, reason: str) -> None:
    """Stops the sweep, unless all of its trials have ended."""
    if ended(ledger, sweep) != read(ledger, sweep).config.size:
        stop(ledger, sweep, reason)


@persistent
def is_over(ledger: Ledger, sweep: str) -> bool:
    """Whether the sweep was stopped or its time is up."""
    # Read first, because it has its own transaction.
    known = read(ledger, sweep)
    with ledger.begin() as connection:
        return is_over_in(connection, sweep, known)


def is_over_in(connection: sa.Connection, sweep: str, known: Sweep) -> bool:
    """`is_over` within a transaction."""
    if known.config.max_time is not None and time.time() > known.created + known.config.max_time:
        return True
    return connection.execute(sa.select(stops.c.sweep).where(stops.c.sweep == sweep)).first() is not None


def stop_in(connection: sa.Connection, sweep: str, reason: str) -> None:
    """`stop` within a transaction. Records the reason, unless the sweep already has a reason."""
    if connection.execute(sa.select(stops.c.sweep).where(stops.c.sweep == sweep)).first() is None:
        connection.execute(sa.insert(stops).values(sweep=sweep, reason=reason, time=time.time()))
