"""Holds: after a rollback no task deploys the model until a person releases it or approves a version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from sailplane.errors import HeldError, ModelError
from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import aliases, holds, models
from sailplane.records import Approval, Evaluation
from sailplane.registry.aliases import CHAMPION, aliases_of


@dataclass(frozen=True)
class Hold:
    """A person, `by`, rolled back `version`, and `serves` replaced it; None if nothing did. `since` is in seconds since
    1970."""

    name: str
    since: float
    by: str
    version: str
    serves: str | None

    def __str__(self) -> str:
        when = f"{datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M} UTC"
        # The rollback named the version that already served.
        if self.version == self.serves:
            return f"on hold since {when}, when {self.by} rolled back to {self.version}"
        to = f" to {self.serves}" if self.serves else ""
        return f"on hold since {when}, when {self.by} rolled back {self.version}{to}"

    @property
    def command(self) -> str:
        return f"sailplane release {self.name}"

    @property
    def remedy(self) -> str:
        return f"`{self.command}`, or the approval of a model, lifts the hold."

    @property
    def message(self) -> str:
        """The hold and its remedy, in sentences."""
        return f"Automatic deployments of {self.name} have been {self}. {self.remedy}"

    def lifted_by(self, approval: Approval | None) -> bool:
        """Whether this is a person's approval that is newer than the hold. The default answer after a deadline is not a
        decision, and an older approval may belong to the version that was rolled back."""
        return bool(approval and approval.approved and approval.by_person and approval.at.timestamp() > self.since)


@persistent
def find(ledger: Ledger, name: str) -> Hold | None:
    with ledger.begin() as connection:
        return find_within(connection, name)


@persistent
def all_holds(ledger: Ledger) -> list[Hold]:
    """All holds, sorted by model."""
    with ledger.begin() as connection:
        return [_of(row) for row in connection.execute(sa.select(holds).order_by(holds.c.name))]


@persistent
def refusing(ledger: Ledger, evaluation: Evaluation) -> Hold | None:
    """The hold that prevents tasks from deploying the model, if any. The champion's run may be deployed again, because
    that changes nothing."""
    with ledger.begin() as connection:
        hold = find_within(connection, evaluation.model)
        if hold is None or hold.lifted_by(evaluation.approval):
            return None
        named = sa.and_(aliases.c.name == models.c.name, aliases.c.version == models.c.version)
        champion = sa.and_(named, aliases.c.name == evaluation.model, aliases.c.alias == CHAMPION)
        record = connection.execute(sa.select(models.c.record).where(champion)).scalar()
    return None if record and record["run"] == evaluation.run.id else hold


@persistent
def release(ledger: Ledger, name: str) -> Hold:
    """Lifts the hold and returns it. Raises ModelError if the model is not held or not registered."""
    with ledger.begin() as connection:
        hold = find_within(connection, name)
        if hold is None:
            known = connection.execute(sa.select(models.c.name).where(models.c.name == name).limit(1)).scalar()
            got, remedy = ("its deployments are not held", "`sailplane status` lists the holds.")
            if known is None:
                got, remedy = ("no such model", "`sailplane models list` shows the registered models.")
            raise ModelError("release", name, got=got, remedy=remedy)
        _lift(connection, name)
    return hold


def find_within(connection: sa.Connection, name: str) -> Hold | None:
    row = connection.execute(sa.select(holds).where(holds.c.name == name)).one_or_none()
    return _of(row) if row else None


def hold_within(connection: sa.Connection, hold: Hold) -> None:
    """Records the hold, replacing an earlier one."""
    _lift(connection, hold.name)
    row = {"name": hold.name, "since": hold.since, "by": hold.by, "version": hold.version, "serves": hold.serves}
    connection.execute(sa.insert(holds).values(**row))


@persistent
def check(ledger: Ledger, name: str, version: str, approval: Approval | None = None) -> None:
    """Raises HeldError if a task may not deploy the version. Does not lift the hold."""
    with ledger.begin() as connection:
        _check(connection, name, version, approval)


def pass_within(connection: sa.Connection, name: str, version: str, approval: Approval | None) -> None:
    """Called when a task deploys the version in this transaction: a person's approval lifts the hold. Raises
    HeldError."""
    hold = _check(connection, name, version, approval)
    if hold is not None and hold.lifted_by(approval):
        _lift(connection, name)


def _check(connection: sa.Connection, name: str, version: str, approval: Approval | None) -> Hold | None:
    hold = find_within(connection, name)
    # Deploying the champion again changes nothing.
    same = aliases_of(connection, name).get(CHAMPION) == version
    if hold is not None and not same and not hold.lifted_by(approval):
        raise HeldError(
            name, got=f"its automatic deployments have been {hold}", remedy=hold.remedy, message=hold.message
        )
    return hold


def _lift(connection: sa.Connection, name: str) -> None:
    connection.execute(sa.delete(holds).where(holds.c.name == name))


def _of(row: sa.Row[tuple[object, ...]]) -> Hold:
    return Hold(**row._mapping)
