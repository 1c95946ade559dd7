"""Reads rollouts from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.state import ENDED, State, Subject
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import rollout_decisions, rollouts


@dataclass(frozen=True)
class RolloutRecord:
    """A rollout as it was read.

    :param revision: counts the changes of the rollout
    :param attempt: counts the rollouts of this version
    :param lease_until: when the driver's lease ends, in seconds since 1970
    :param changed: when a driver last looked at the rollout, in seconds since 1970
    """

    subject: Subject
    plan: Rollout
    state: State
    revision: int
    attempt: int
    lease_until: float = 0.0
    changed: float = 0.0


@dataclass(frozen=True)
class Decision:
    """A change of a rollout's stage.

    :param attempt: counts the rollouts of the version
    :param time: seconds since 1970
    :param before: the stage before, such as `baking 0`; empty for the start
    :param after: the stage after
    :param by: the owner at the start, a driver, or a person
    """

    attempt: int
    time: float
    before: str
    after: str
    reason: str
    by: str
    findings: tuple[CheckResult, ...]


@persistent
def find(ledger: Ledger, name: str, version: str) -> RolloutRecord | None:
    with ledger.begin() as connection:
        return find_within(connection, name, version)


@persistent
def active(ledger: Ledger, name: str) -> RolloutRecord | None:
    """The model's rollout that has not ended."""
    with ledger.begin() as connection:
        return active_within(connection, name)


@persistent
def all_active(ledger: Ledger) -> list[RolloutRecord]:
    """The rollouts that have not ended, by model."""
    query = sa.select(rollouts).where(rollouts.c.phase.not_in(ENDED)).order_by(rollouts.c.name)
    with ledger.begin() as connection:
        return [entry_of(row) for row in connection.execute(query)]


@persistent
def newest(ledger: Ledger, name: str) -> RolloutRecord | None:
    """The model's rollout that changed last."""
    query = sa.select(rollouts).where(rollouts.c.name == name).order_by(rollouts.c.changed.desc()).limit(1)
    with ledger.begin() as connection:
        row = connection.execute(query).one_or_none()
    return entry_of(row) if row else None


@persistent
def decisions(ledger: Ledger, name: str, version: str) -> list[Decision]:
    """The decisions of all attempts, in order."""
    table = rollout_decisions
    query = sa.select(table).where(table.c.name == name, table.c.version == version).order_by(table.c.id)
    with ledger.begin() as connection:
        return [
            Decision(
                attempt=row.attempt,
                time=row.time,
                before=row.before,
                after=row.after,
                reason=row.reason,
                by=row.by,
                findings=tuple(map(CheckResult.from_dict, row.findings)),
            )
            for row in connection.execute(query)
        ]


def active_within(connection: sa.Connection, name: str) -> RolloutRecord | None:
    query = sa.select(rollouts).where(rollouts.c.name == name, rollouts.c.phase.not_in(ENDED))
    row = connection.execute(query).first()
    return entry_of(row) if row else None


def find_within(connection: sa.Connection, name: str, version: str) -> RolloutRecord | None:
    row = connection.execute(sa.select(rollouts).where(named(name, version))).one_or_none()
    return entry_of(row) if row else None


def row_of(entry: RolloutRecord) -> dict[str, Any]:
    return {
        "name": entry.subject.name,
        "version": entry.subject.version,
        "attempt": entry.attempt,
        "subject": entry.subject.to_dict(),
        "plan": entry.plan.to_dict(),
        "state": entry.state.to_dict(),
        "phase": entry.state.phase,
        "revision": entry.revision,
        "driver": "",
        "lease_until": entry.lease_until,
    }


def entry_of(row: sa.Row[Any]) -> RolloutRecord:
    return RolloutRecord(
        subject=Subject.from_dict(row.subject),
        plan=Rollout.from_dict(row.plan),
        state=State.from_dict(row.state),
        revision=row.revision,
        attempt=row.attempt,
        lease_until=row.lease_until,
        changed=row.changed,
    )


def named(name: str, version: str) -> sa.ColumnElement[bool]:
    return sa.and_(rollouts.c.name == name, rollouts.c.version == version)
