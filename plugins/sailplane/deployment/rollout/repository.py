"""Rollouts on the ledger: one row for each with its plan and state, and one row for each decision with its evidence.

A driver holds a rollout by a lease, and writes only if the row is unchanged since it was read. If two drivers meet,
the loser gets a LeaseError before it acts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NoReturn

import sqlalchemy as sa

from sailplane.deployment.rollout import outcomes
from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.engine import failing
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.records import RolloutRecord, active_within, entry_of, find_within, named, row_of
from sailplane.deployment.rollout.state import CLOSING, State, Subject, split
from sailplane.errors import DeploymentError, LeaseError
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import rollout_decisions, rollouts
from sailplane.records import Approval
from sailplane.registry import holds

CHECKS: Final = "the checks of its rollout"
# After this time, another driver takes over from one that died.
LEASE_SECONDS: Final = 15.0


@persistent
def begin(
    ledger: Ledger, subject: Subject, plan: Rollout, now: float | None = None, approval: Approval | None = None
) -> RolloutRecord:
    """Records a new rollout of the version, or returns the existing one of the same owner and turn. A new rollout lifts
    a hold if a person approved it.

    Raises DeploymentError while another rollout of the model is running, HeldError while the model is held.
    """
    now = time.time() if now is None else now
    with ledger.begin() as connection:
        other = active_within(connection, subject.name)
        if other is not None and _whose(other.subject) != _whose(subject):
            _refuse(other, f"roll out {subject.name} {subject.version}")
        existing = find_within(connection, subject.name, subject.version)
        if existing is not None and _whose(existing.subject) == _whose(subject):
            return existing
        if not subject.back:
            holds.pass_within(connection, subject.name, subject.version, approval)
        attempt = existing.attempt + 1 if existing else 1
        # The process that begins the rollout is about to drive it.
        entry = RolloutRecord(subject, plan, State(), revision=0, attempt=attempt, lease_until=now + LEASE_SECONDS)
        connection.execute(sa.delete(rollouts).where(_key(subject)))
        connection.execute(sa.insert(rollouts).values(**row_of(entry), started=now, changed=now))
        _decide(connection, entry, "", now, subject.owner, ())
    return entry


@persistent
def refuse_while_active(ledger: Ledger, name: str, owner: str, now: float | None = None) -> None:
    """Raises DeploymentError while a rollout of the model is running, except for the owner's own deployment at once,
    or an abandoned one."""
    now = time.time() if now is None else now
    with ledger.begin() as connection:
        other = active_within(connection, name)
        mine = other is not None and other.subject.at_once and other.subject.owner == owner
        if other is not None and not mine and not abandoned(other, now):
            _refuse(other, f"deploy {name}")


def abandoned(entry: RolloutRecord, now: float) -> bool:
    """True for a deployment at once whose process has ended."""
    return entry.subject.at_once and not _leased(entry.lease_until, now)


@persistent
def take(ledger: Ledger, name: str, version: str, driver: str, now: float) -> RolloutRecord | None:
    """Takes the lease for the driver and returns the rollout; None while another driver holds it."""
    with ledger.begin() as connection:
        row = connection.execute(sa.select(rollouts).where(named(name, version))).one_or_none()
        if row is None:
            raise DeploymentError("find the rollout of", f"{name} {version}", got="there is none")
        if row.driver not in ("", driver) and _leased(row.lease_until, now):
            return None
        lease = {"driver": driver, "lease_until": now + LEASE_SECONDS, "revision": row.revision + 1}
        connection.execute(sa.update(rollouts).where(named(name, version)).values(**lease))
        return replace(entry_of(row), revision=row.revision + 1, lease_until=now + LEASE_SECONDS)


@persistent
def renew(ledger: Ledger, entry: RolloutRecord, driver: str, now: float) -> None:
    """Raises LeaseError unless the driver still holds the rollout, and nobody changed it."""
    with ledger.begin() as connection:
        _check(connection, entry, driver)
        lease = sa.update(rollouts).where(_key(entry.subject)).values(lease_until=now + LEASE_SECONDS)
        connection.execute(lease)


@persistent
def release(ledger: Ledger, name: str, version: str, driver: str) -> None:
    """Ends the driver's lease, so that the next driver need not wait."""
    mine = sa.and_(named(name, version), rollouts.c.driver == driver)
    with ledger.begin() as connection:
        connection.execute(sa.update(rollouts).where(mine).values(driver="", lease_until=0.0))


@persistent
def keep(
    ledger: Ledger, entry: RolloutRecord, driver: str, state: State, now: float, findings: Iterable[CheckResult] = ()
) -> RolloutRecord:
    """Records the new state, and the decision if the stage changed. Raises LeaseError."""
    findings = tuple(findings)
    with ledger.begin() as connection:
        _check(connection, entry, driver)
        if state.phase == "rolling back" and any(finding.failed for finding in findings):
            outcomes.mark(connection, entry.subject, CHECKS, now)
        return _keep(connection, entry, state, now, driver, findings)


@persistent
def promote(ledger: Ledger, entry: RolloutRecord, driver: str, now: float) -> None:
    """Records in one transaction the aliases and what is served; for a rollback also the version that was rolled back,
    and the hold. Raises LeaseError."""
    subject = entry.subject
    with ledger.begin() as connection:
        _check(connection, entry, driver)
        outcomes.promote(connection, subject, now)


@persistent
def abort(
    ledger: Ledger, name: str, reason: str, by: str, now: float | None = None, *, only: Subject | None = None
) -> RolloutRecord | None:
    """Rolls back the model's active rollout, unless it is already rolling back or being promoted. Its driver loses the
    lease, so the caller can continue at once. None if no rollout is active, or if it is not the one of `only`."""
    with ledger.begin() as connection:
        entry = active_within(connection, name)
        if entry is None or (only is not None and _whose(only) != _whose(entry.subject)):
            return None
        return _abort(connection, entry, reason, by, time.time() if now is None else now)


@persistent
def roll_back(ledger: Ledger, name: str, by: str, *, hold: bool, now: float | None = None) -> RolloutRecord | None:
    """`abort` by a person: the version counts as rolled back, and with `hold` no task deploys another version."""
    now = time.time() if now is None else now
    with ledger.begin() as connection:
        entry = active_within(connection, name)
        if entry is None:
            return None
        subject = entry.subject
        # An unfinished rollback is no fault of its target version.
        if entry.state.phase != "promoting" and not subject.back:
            outcomes.mark(connection, subject, by, now)
            if hold:
                outcomes.hold(connection, subject, by)
        return _abort(connection, entry, f"rolled back by {by}", by, now)


def end_within(connection: sa.Connection, name: str, reason: str, by: str) -> None:
    """Ends the model's rollout on this machine without a rollback, after the ledger was restored."""
    entry = active_within(connection, name)
    if entry is not None and entry.subject.place is None:
        free = sa.update(rollouts).where(_key(entry.subject)).values(driver="", lease_until=0.0)
        connection.execute(free)
        _keep(connection, entry, entry.state.entering("failed", reason=reason), time.time(), by, ())


def _leased(until: float, now: float) -> bool:
    # If more is left than a whole lease, the clock has been set back.
    return 0 < until - now <= LEASE_SECONDS


def _abort(connection: sa.Connection, entry: RolloutRecord, reason: str, by: str, now: float) -> RolloutRecord:
    if entry.state.phase in CLOSING:
        return entry
    free = sa.update(rollouts).where(_key(entry.subject)).values(driver="", lease_until=0.0)
    connection.execute(free)
    return _keep(connection, entry, failing(entry.state, reason), now, by, ())


def _keep(
    connection: sa.Connection, entry: RolloutRecord, state: State, now: float, by: str, findings: Iterable[CheckResult]
) -> RolloutRecord:
    kept = replace(entry, state=state, revision=entry.revision + 1)
    values = {"state": state.to_dict(), "phase": state.phase, "revision": kept.revision, "changed": now}
    connection.execute(sa.update(rollouts).where(_key(entry.subject)).values(**values))
    if state.stage != entry.state.stage:
        _decide(connection, kept, entry.state.stage, now, by, findings)
        wanted = split(entry.plan, entry.subject, state)
        if entry.subject.champion and wanted is not None and state.phase not in ("promoting", "succeeded"):
            outcomes.record_served(connection, entry.subject, entry.subject.champion, wanted.weights, now)
    return kept


def _check(connection: sa.Connection, entry: RolloutRecord, driver: str) -> None:
    """An expired lease holds until another driver takes it."""
    query = sa.select(rollouts.c.driver, rollouts.c.revision).where(_key(entry.subject))
    row = connection.execute(query).one_or_none()
    if row is None or tuple(row) != (driver, entry.revision):
        raise LeaseError("continue the rollout of", entry.subject.name, got="another driver has taken it")


def _refuse(other: RolloutRecord, doing: str) -> NoReturn:
    got = f"a rollout of {other.subject.version} is running ({other.state.stage}), started by {other.subject.owner}"
    remedy = f"Wait for it, or end it: `sailplane rollback {other.subject.name}`."
    raise DeploymentError(doing, got=got, remedy=remedy)


def _decide(
    connection: sa.Connection, entry: RolloutRecord, before: str, now: float, by: str, findings: Iterable[CheckResult]
) -> None:
    values = {"name": entry.subject.name, "version": entry.subject.version, "attempt": entry.attempt, "time": now}
    values |= {"before": before, "after": entry.state.stage, "reason": entry.state.reason, "by": by}
    values |= {"findings": [finding.to_dict() for finding in findings]}
    connection.execute(sa.insert(rollout_decisions).values(**values))


def _whose(subject: Subject) -> tuple[str, ...]:
    return subject.version, subject.owner, subject.turn


def _key(subject: Subject) -> sa.ColumnElement[bool]:
    return named(subject.name, subject.version)
