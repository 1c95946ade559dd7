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
from sailplane.deployment.rollout.records import RolloutRecord
from sailplane.deployment.rollout.run import POLL_SECONDS
from sailplane.deployment.rollout.state import State, Subject
from sailplane.errors import LeaseError, ServiceError, StorageError
from sailplane.home import Home
from sailplane.ledger import Ledger

# The task fails after this many failed polls in a row; a retry continues.
MOST_FAILED: Final = 60
# Less than the 30 s that the triggerer allows.
KILL_SECONDS: Final = 20.0


class RolloutTrigger(BaseTrigger):
    """Drives a started rollout to its end, one poll per second. Fires one event: model, version and phase, or an
    `error`.

    Its state is in the ledger and in the connection of a cluster. If the triggerer or all of Airflow dies, the next one
    continues at the same step. After the `deadline` the rollout rolls back. Marking or clearing the task also rolls
    back.

    :param subject: the rollout's `Subject`
    :param deadline: the time limit in ISO 8601
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
                # In a thread, so that calls to a cluster, a store or Airflow do not block other triggers.
                state = await asyncio.to_thread(self._poll)
                failed = 0
            except LeaseError:
                state = None
            except (ServiceError, StorageError, AirflowNotFoundException) as error:
                failed, state, reason = failed + 1, None, str(error)
                self.log.warning("%s", reason)
                await asyncio.to_thread(self._forget)
            if state is not None and state.ended:
                yield _event(model=self.subject.name, version=self.subject.version, phase=state.phase)
                return
            await asyncio.sleep(self.poll_seconds)
        yield _event(error=reason)

    async def on_kill(self) -> None:
        await asyncio.to_thread(self._roll_back)

    def _poll(self) -> State | None:
        if datetime.now(UTC) > datetime.fromisoformat(self.deadline):
            self._abort(f"it did not end by {self.deadline}", "the deadline")
        return self._driving().tick()

    def _roll_back(self) -> None:
        if self._abort("its task was marked or cleared", "Airflow") is None:
            return
        until = time.monotonic() + KILL_SECONDS
        while time.monotonic() < until:
            # An earlier poll is still running, the cluster does not respond, or the disk is full.
            with suppress(ServiceError, StorageError):
                state = self._driving().tick()
                if state is not None and state.ended:
                    return
            time.sleep(self.poll_seconds / 10)

    def _abort(self, reason: str, by: str) -> RolloutRecord | None:
        """Aborts only this rollout; a later one belongs to another trigger."""
        return repository.abort(self._ledger, self.subject.name, reason, by, only=self.subject)

    def _driving(self) -> Driver:
        """The driver, always the same one, so that it can renew its lease immediately."""
        if self._driver is None:
            endpoint = serving(self._ledger, self.subject.name, self.subject.place)
            self._driver = endpoint.driver(self.subject.version)
        return self._driver

    def _forget(self) -> None:
        """Drops the driver of a cluster, so that the next poll reads the connection again: its token may have
        changed."""
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
