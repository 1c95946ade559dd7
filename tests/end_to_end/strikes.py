"""Kills a sweep's workers, Airflow's scheduler and the database with kill -9, at random moments."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil
import sqlalchemy as sa

from sailplane.ledger import Ledger, persistent
from sailplane.ledger.tables import trials as table
from sailplane.supervisor import Supervisor
from sailplane.sweeps import queue, results
from sailplane.training.jobs import running
from tests.end_to_end.faults import pid_of
from tests.platform import Platform, until
from tests.postgres import PostgreSQL

# A trial whose lease ends within these seconds may be given again before the victim is dead.
SOON_SECONDS = 1.0


@dataclass(frozen=True)
class Kill:
    """`what` is "trainer" (the process in which a worker trains), "worker" (the process that starts it), "scheduler" or
    "database". The kill comes `pause` seconds after `begun` trials have begun; `which`, from 0 to 1, chooses the
    victim."""

    what: str
    begun: int
    pause: float
    which: float


def planned(seed: int, kills: Mapping[str, int], trials: int, late: int) -> list[Kill]:
    """Spreads the kills over the sweep, and leaves some trials for workers that will be killed. The `late` last kills
    strike the database while lost trials wait for their leases to end."""
    draw = random.Random(seed)
    order = [what for what, count in (Counter(kills) - Counter(database=late)).items() for _ in range(count)]
    draw.shuffle(order)
    begun = sorted(draw.randrange(1, trials * 4 // 5) for _ in order)
    moments = [Kill(what, count, draw.uniform(0, 0.5), draw.random()) for what, count in zip(order, begun, strict=True)]
    return moments + [Kill("database", trials, draw.uniform(0, 3), 0.0) for _ in range(late)]


class Striker:
    """Carries out kills; `killed` counts them. Spares trials that have lost as many workers as they may, because the
    next loss would rightly fail them."""

    def __init__(self, platform: Platform, server: PostgreSQL, ledger: Ledger, sweep: str) -> None:
        self._jobs, self._server, self._ledger, self._sweep = platform.home.jobs, server, ledger, sweep
        self._supervisor = Supervisor(platform.home)
        self.killed: Counter[str] = Counter()

    def strike(self, kill: Kill) -> None:
        """Carries out the kill, and waits until the victim is dead or the database has started again."""
        until(lambda: len(results.trials(self._ledger, self._sweep)) >= kill.begun or None, 300, f"trial {kill.begun}")
        time.sleep(kill.pause)
        if kill.what == "database":
            self._server.kill()
            self._server.start()
        else:
            until(lambda: self._killed(kill), 300, f"a {kill.what} to kill")
        self.killed[kill.what] += 1

    def _killed(self, kill: Kill) -> bool | None:
        with suppress(psutil.NoSuchProcess):
            victims = [process for process in self._victims(kill.what) if process.status() != psutil.STATUS_ZOMBIE]
            if victims and not self._is_spared(kill.what):
                victim = victims[int(kill.which * len(victims))]
                victim.kill()
                victim.wait(10)
                return True
        return None

    def _victims(self, what: str) -> list[psutil.Process]:
        if what == "scheduler":
            pid = self._supervisor.states()["scheduler"].pid
            return [psutil.Process(pid)] if pid else []
        jobs = [job for job in running(self._jobs) if job.folder.name.startswith("sweep.worker.")]
        if what == "worker":
            return [psutil.Process(pid_of(job)) for job in jobs]
        working = [job for job in jobs if (job.folder / "started").exists()]
        return [child for job in working for child in psutil.Process(pid_of(job)).children()]

    def _is_spared(self, what: str) -> bool:
        return what != "scheduler" and most_attempts(self._ledger, self._sweep) >= queue.MOST_ATTEMPTS


@persistent
def most_attempts(ledger: Ledger, sweep: str) -> int:
    """Returns the most attempts of any trial that runs or is about to be given again."""
    of = sa.and_(table.c.sweep == sweep, table.c.state == "running")
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(table.c.error, table.c.lease_until).where(of)).all()
    soon = time.time() + SOON_SECONDS
    return max((1 + len((row.error or "").splitlines()) + (row.lease_until < soon) for row in rows), default=0)
