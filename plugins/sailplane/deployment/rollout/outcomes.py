"""The changes that a rollout makes on the ledger besides its own record: served versions, rollbacks and holds."""

from __future__ import annotations

import time
from collections.abc import Mapping

import sqlalchemy as sa

from sailplane.deployment.kubernetes.recorded import record_within
from sailplane.deployment.rollout.state import Subject
from sailplane.ledger.tables import deployments
from sailplane.registry import aliases, holds
from sailplane.registry.models import promote_within


def promote(connection: sa.Connection, subject: Subject, now: float) -> None:
    """Records that the version is the champion and has all the traffic."""
    before = aliases.aliases_of(connection, subject.name).get(aliases.CHAMPION)
    promote_within(connection, subject.name, subject.version)
    if subject.back:
        _record_return(connection, subject, before or subject.champion, now)
    record_served(connection, subject, subject.version, {subject.version: 100}, now)


def hold(connection: sa.Connection, subject: Subject, by: str) -> None:
    """Records a hold: no task deploys the model until a person releases it."""
    held = holds.Hold(subject.name, time.time(), by, version=subject.version, serves=subject.champion)
    holds.hold_within(connection, held)


def record_served(
    connection: sa.Connection, subject: Subject, version: str, weights: Mapping[str, int], now: float
) -> None:
    served = subject.deployment(version, weights)
    if subject.place is not None:
        record_within(connection, subject.place, served, now)
        return
    connection.execute(sa.delete(deployments).where(deployments.c.name == subject.name))
    row = {"name": subject.name, "record": served.to_dict(), "changed": now}
    connection.execute(sa.insert(deployments).values(**row))


def mark(connection: sa.Connection, subject: Subject, by: str, now: float) -> None:
    # A version that served before its rollout still serves after it.
    if subject.version != subject.champion:
        aliases.mark(connection, subject.name, subject.version, by, now)


def _record_return(connection: sa.Connection, subject: Subject, before: str | None, now: float) -> None:
    """Returning to a version that was rolled back undoes that rollback, and does not mark the version that served
    before."""
    wanted = aliases.unmark(connection, subject.name, subject.version)
    left = before if before != subject.version else None
    if left and not wanted:
        aliases.mark(connection, subject.name, left, subject.owner, now)
    if subject.hold and (left or holds.find_within(connection, subject.name) is None):
        version = left or subject.version
        held = holds.Hold(subject.name, time.time(), subject.owner, version=version, serves=subject.version)
        holds.hold_within(connection, held)
