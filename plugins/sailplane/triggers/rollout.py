from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from sailplane import pairing
from sailplane.connections.endpoint import serving
from sailplane.deployment.rollout import repository
from sailplane.deployment.rollout.drive import Driver
from sailplane.deployment.rollout.records import Entry
from sailplane.deployment.rollout.run import POLL_SECONDS
from sailplane.deployment.rollout.state import State, Subject
from sailplane.errors import LeaseError, ServiceError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger

# So many looks in a row that find nobody are a failure of the task; a retry goes on.
MOST_FAILED: Final = 60
# The triggerer waits for 30 s.
KILL_SECONDS: Final = 20.0


class RolloutTrigger(BaseTrigger):
    """Drives a rollout that was begun, a look a second, to its end; fires one event: model, version
    and phase, or an `error`.

    All that it needs is on the ledger, and in the connection of a cluster: the triggerer, or all of Airflow, may die at
    any moment, and who comes after goes on at the step where it was. Past the `deadline` the rollout goes back. So it
    does when somebody marks the task, or clears it.

    :param subject: which rollout, a `Subject`
    :param deadline: ISO 8601
    """

    def __init__(self, *, subject: Mapping[str, Any], deadline: str, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.subject, self.deadline = Subject.from_dict(subject), deadline
        self.poll_seconds = poll_seconds
        self._driver: Driver | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {"deadline": self.deadline, "poll_seconds": self.poll_seconds}
        return f"{__name__}.{type(self).__name__}", {"subject": self.subject.to_dict(), **arguments}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        failed = 0
        while failed < MOST_FAILED:
            try:
                # In a thread: whatever asks a cluster, a store or Airflow there keeps no other trigger waiting.
                state = await asyncio.to_thread(self._look)
                failed = 0
            except LeaseError:
                state = None
            except (ServiceError, StorageError, AirflowNotFoundException) as error:
                failed, state, told = failed + 1, None, str(error)
                self.log.warning("%s", told)
                await asyncio.to_thread(self._forget)
            if state is not None and state.ended:
                yield _event(model=self.subject.name, version=self.subject.version, phase=state.phase)
                return
            await asyncio.sleep(self.poll_seconds)
        yield _event(error=told)

    async def on_kill(self) -> None:
        await asyncio.to_thread(self._take_back)

    def _look(self) -> State | None:
        if datetime.now(UTC) > datetime.fromisoformat(self.deadline):
            self._abort(f"it did not end until {self.deadline}", "the deadline")
        return self._driving().tick()

    def _take_back(self) -> None:
        if self._abort("its task was marked or cleared", "Airflow") is None:
            return
        until = time.monotonic() + KILL_SECONDS
        while time.monotonic() < until:
            # A look that had begun before; a cluster that does not answer at this moment, or a disk that is full.
            with suppress(ServiceError, StorageError):
                state = self._driving().tick()
                if state is not None and state.ended:
                    return
            time.sleep(self.poll_seconds / 10)

    def _abort(self, reason: str, by: str) -> Entry | None:
        """This one: what was begun after it is not this trigger's."""
        return repository.abort(self._ledger, self.subject.name, reason, by, only=self.subject)

    def _driving(self) -> Driver:
        """Always the same one: what it holds it takes again at once."""
        if self._driver is None:
            there = serving(self._ledger, self.subject.name, self.subject.place)
            self._driver = there.driver(self.subject.version)
        return self._driver

    def _forget(self) -> None:
        """Of a cluster the connection is read again, where somebody may have put another token."""
        if self.subject.place is None or self._driver is None:
            return
        driver, self._driver = self._driver, None
        with suppress(ServiceError, StorageError):
            driver.release()

    @property
    def _ledger(self) -> Ledger:
        return pairing.ledger(Home.find())


def _event(**payload: str) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
