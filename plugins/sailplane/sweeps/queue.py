"""The queue of trials on the ledger. Each assignment is one transaction. A worker holds a trial by a lease, which it
renews; if the lease expires, the next worker gets the trial with the same configuration."""

from __future__ import annotations

import math
import time
from typing import Any, Final

import sqlalchemy as sa

from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import reports
from sailplane.ledger.tables import trials as table
from sailplane.records import Run, Trial
from sailplane.sweeps.lifecycle import is_over_in, stop, stop_in
from sailplane.sweeps.results import Sweep, read, trials_of
from sailplane.sweeps.stopping import stop_early
from sailplane.sweeps.suggest import suggest

LEASE_SECONDS: Final = 30.0
# A trial that killed this many workers is not assigned again.
MOST_ATTEMPTS = 3
# How many suggestions may be computed outside the transaction. If all of them are outdated, the last is computed
# inside.
GUESSES: Final = 2


@persistent
def ask(ledger: Ledger, sweep: str, worker: str, lease_seconds: float = LEASE_SECONDS) -> Trial | None:
    """The next trial, held by `worker`, which must be unique to its process; None if no trial is available."""
    known = read(ledger, sweep)
    if known.config.method == "bayes":
        import optuna  # noqa: F401  imported before the transaction, so that others do not wait for it
    guess: _Guess | None = None
    for left in range(GUESSES, -1, -1):
        lease = {"worker": worker, "lease_until": time.time() + lease_seconds}
        with ledger.begin() as connection:
            if is_over_in(connection, sweep, known):
                _fail_lost(connection, sweep)
                return None
            given: Trial | _Guess | None = _reassigned(connection, sweep, lease)
            given = given or _assigned(connection, sweep, known, lease, guess, last=not left)
        if not isinstance(given, _Guess):
            return given
        # A Gaussian process takes a second; others need not wait for it.
        guess = given.computed(known)
    raise AssertionError("the last suggestion is computed inside the transaction")


@persistent
def heartbeat(ledger: Ledger, trial: Trial, worker: str, lease_seconds: float = LEASE_SECONDS) -> bool:
    """Renews the lease. Returns False if another worker has the trial now."""
    return _change(ledger, trial, worker, lease_until=time.time() + lease_seconds)


@persistent
def release(ledger: Ledger, trial: Trial, worker: str) -> bool:
    """Returns the trial for the next worker at once, because this worker was stopped."""
    return _change(ledger, trial, worker, lease_until=0.0)


@persistent
def report(ledger: Ledger, trial: Trial, worker: str, step: int, value: float) -> bool:
    """Records a running trial's metric value at a step, replacing values of an earlier attempt at this or later steps.
    Returns whether the trial should stop: early stopping ends it, another worker has it, or the sweep is over."""
    known = read(ledger, trial.sweep)
    with ledger.begin() as connection:
        if not connection.execute(sa.select(table.c.number).where(_held(trial, worker))).first():
            return True
        later = sa.and_(reports.c.sweep == trial.sweep, reports.c.number == trial.number, reports.c.step >= step)
        connection.execute(sa.delete(reports).where(later))
        if math.isfinite(value):
            row = {"sweep": trial.sweep, "number": trial.number, "step": step, "value": value}
            connection.execute(sa.insert(reports).values(**row))
        if known.config.reached(value):
            stop_in(connection, trial.sweep, f"trial {trial.number} reached the target with {value:g}")
        if is_over_in(connection, trial.sweep, known):
            return True
        if known.config.stopping is None:
            return False
        found = trials_of(connection, trial.sweep)
    return trial.number in stop_early(known.config.stopping, found, maximize=known.config.maximize)


@persistent
def finish(ledger: Ledger, trial: Trial, worker: str, score: float, run: Run | None = None) -> bool:
    """Records the score of a finished trial; a score that is not a number makes the trial fail. Returns False, without
    a change, if another worker has the trial now."""
    if not math.isfinite(score):
        return fail(ledger, trial, worker, f"its score is {score}")
    record = run.to_dict() if run else None
    if not _change(ledger, trial, worker, state="finished", score=float(score), run=record, error=None):
        return False
    if read(ledger, trial.sweep).config.reached(score):
        stop(ledger, trial.sweep, f"trial {trial.number} reached the target with {score:g}")
    return True


@persistent
def adopt(ledger: Ledger, run: Run) -> None:
    """Records the model of a trial that finished without one."""
    with ledger.begin() as connection:
        update = sa.update(table).where(_key(run.sweep or "", run.trial or 0)).values(run=run.to_dict())
        connection.execute(update)


@persistent
def fail(ledger: Ledger, trial: Trial, worker: str, reason: str) -> bool:
    """Records why the trial failed. Returns False, without a change, if another worker has the trial now."""
    return _change(ledger, trial, worker, state="failed", error=reason)


class _Guess:
    """The configuration of trial `number`, suggested from the trials at that time."""

    def __init__(self, number: int, past: tuple[Trial, ...]) -> None:
        self.number, self.past = number, past
        self.config: dict[str, Any] | None = None

    def computed(self, known: Sweep) -> _Guess:
        self.config = suggest(known.config, self.past, self.number, known.seed)
        return self


def _reassigned(connection: sa.Connection, sweep: str, lease: dict[str, Any]) -> Trial | None:
    """A trial whose worker died, assigned again."""
    lost = _lost(connection, sweep)
    if lost is None:
        return None
    taken = {**lease, "error": "\n".join(filter(None, [lost.error, f"{lost.worker} lost it"]))}
    connection.execute(sa.update(table).where(_key(sweep, lost.number)).values(**taken))
    return Trial(sweep=sweep, number=lost.number, config=lost.config, state="running")


def _assigned(
    connection: sa.Connection, sweep: str, known: Sweep, lease: dict[str, Any], guess: _Guess | None, *, last: bool
) -> Trial | _Guess | None:
    """A new trial. For bayes a guess, to be computed outside the transaction, unless this is the `last` try or `guess`
    is still up to date."""
    last_number = connection.execute(sa.select(sa.func.max(table.c.number)).where(table.c.sweep == sweep)).scalar()
    number = 0 if last_number is None else last_number + 1
    if number >= (known.config.size or math.inf):
        return None
    past = trials_of(connection, sweep) if known.config.method == "bayes" else ()
    if guess is not None and (guess.number, guess.past) == (number, past):
        proposed = guess.config
    elif past and not last:
        return _Guess(number, past)
    else:
        proposed = suggest(known.config, past, number, known.seed)
    if proposed is None:
        return None
    row = {"sweep": sweep, "number": number, "config": proposed, "state": "running", **lease}
    connection.execute(sa.insert(table).values(**row))
    return Trial(sweep=sweep, number=number, config=proposed, state="running")


def _fail_lost(connection: sa.Connection, sweep: str) -> None:
    """Fails the trials of a finished sweep whose workers died."""
    lost = sa.and_(table.c.sweep == sweep, table.c.state == "running", table.c.lease_until < time.time())
    values = {"state": "failed", "error": "its worker died, and the sweep had ended"}
    connection.execute(sa.update(table).where(lost).values(**values))


def _lost(connection: sa.Connection, sweep: str) -> sa.Row[Any] | None:
    """The first trial with an expired lease. A trial that killed too many workers is marked as failed here."""
    query = sa.select(table).where(
        table.c.sweep == sweep, table.c.state == "running", table.c.lease_until < time.time()
    )
    for row in connection.execute(query.order_by(table.c.number)):
        lost_by = [*filter(None, (row.error or "").split("\n")), f"{row.worker} lost it"]
        if len(lost_by) < MOST_ATTEMPTS:
            return row
        reason = f"the trial killed {len(lost_by)} workers: {'; '.join(lost_by)}"
        connection.execute(sa.update(table).where(_key(sweep, row.number)).values(state="failed", error=reason))
    return None


def _key(sweep: str, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.sweep == sweep, table.c.number == number)


def _held(trial: Trial, worker: str) -> sa.ColumnElement[bool]:
    return sa.and_(_key(trial.sweep, trial.number), table.c.worker == worker, table.c.state == "running")


def _change(ledger: Ledger, trial: Trial, worker: str, **values: Any) -> bool:
    changed = sa.update(table).where(_held(trial, worker)).values(**values)
    with ledger.begin() as connection:
        return connection.execute(changed).rowcount == 1 or _was_made(connection, trial, worker, values.get("state"))


def _was_made(connection: sa.Connection, trial: Trial, worker: str, state: str | None) -> bool:
    """Whether this worker already ended the trial in this state: the previous response may have been lost."""
    own = sa.and_(_key(trial.sweep, trial.number), table.c.worker == worker, table.c.state == state)
    return state is not None and connection.execute(sa.select(table.c.number).where(own)).first() is not None
