from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.check_specs import ErrorRate
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import ConflictError, SailplaneError, ServiceError, StorageError
from sailplane.home import Home
from sailplane.ledger import tables
from sailplane.registry.models import get
from sailplane.triggers import rollout
from sailplane.triggers.rollout import RolloutTrigger
from tests.homes import new_ledger
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION, NAME, Clock, Place, register, serving_at

PLAN = Rollout(shadow="3s", steps=[10, 50, 100], bake="5s", min_requests=5, checks=[ErrorRate(maximum=0.2)])


class Running:
    """A started rollout in the tests' home. Each look finds new requests, half a second later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger, self.place = new_ledger(Home.find().ledger), Place()
        self.failing = 0.0
        with self.ledger.begin() as connection:
            for table in (tables.rollouts, tables.rollout_decisions, tables.models, tables.aliases, tables.deployments):
                connection.execute(sa.delete(table).where(table.c.name == NAME))
        register(self.ledger, CHAMPION, CANARY)
        self.serving = serving_at(self.place, self.ledger, Clock(step=0.1))
        monkeypatch.setattr(ModelEndpoint, "local", lambda *_: self.serving)
        self.serving.begin(PLAN, get(self.ledger, NAME, CANARY), "task")
        self.place.before = self._before

    def _before(self, what: str) -> None:
        if what == "progress":
            self.place.serve(100, failing=self.failing)

    def trigger(self, **changes: Any) -> RolloutTrigger:
        deadline = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        subject = self.serving.entry(CANARY).subject.to_dict()
        return RolloutTrigger(**{"subject": subject, "deadline": deadline, "poll_seconds": 0.001, **changes})

    @property
    def stage(self) -> str:
        return self.serving.entry(CANARY).state.stage


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    return Running(monkeypatch)


def events(trigger: RolloutTrigger) -> list[Any]:
    async def collect() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(collect())


def test_a_rollout_is_driven_to_its_end_and_one_event_says_so(running: Running) -> None:
    assert events(running.trigger()) == [{"model": NAME, "version": CANARY, "phase": "succeeded"}]
    assert running.place.split() == TrafficSplit({CANARY: 100})


def test_a_version_that_fails_ends_with_an_event_too(running: Running) -> None:
    running.failing = 0.9
    (event,) = events(running.trigger())
    assert event["phase"] == "failed"
    assert running.place.split() == TrafficSplit({CHAMPION: 100})


@pytest.mark.slow
def test_a_triggerer_that_dies_is_followed_by_another_one_at_the_same_step(running: Running) -> None:
    first = running.trigger()

    async def until_half() -> None:
        async def drive() -> None:
            async for _ in first.run():
                raise AssertionError("it ended")

        task = asyncio.create_task(drive())
        while running.stage != "baking 1":
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(until_half())
    done = list(running.place.done)
    assert done[-1] == "move 50"
    path, arguments = first.serialize()
    module, _, kind = path.rpartition(".")
    again = getattr(importlib.import_module(module), kind)(**arguments)
    assert events(again)[0]["phase"] == "succeeded"
    assert running.place.done == [*done, "move 100", f"stop {CHAMPION}"]
    assert [one.after for one in records.decisions(running.ledger, NAME, CANARY)].count("baking 1") == 1


@pytest.mark.slow
def test_a_target_that_stays_away_is_an_error_after_so_many_looks_and_one_that_comes_back_is_none(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout, "MOST_FAILED", 3)
    looks = 0

    def away(what: str) -> None:
        nonlocal looks
        looks += what == "progress"
        if what == "progress" and looks % 2:
            raise ServiceError("ask", "the router", got="nobody answers")
        running.place.serve(100)

    running.place.before = away
    assert events(running.trigger())[0]["phase"] == "succeeded"


@pytest.mark.parametrize(
    "error",
    [
        ServiceError("ask", "the router", got="nobody answers"),
        # It is not a lost lease, which only means that another driver continues.
        ConflictError("put", "the bundle", got="it changed meanwhile"),
    ],
)
def test_the_error_says_what_failed_and_the_rollout_stays_where_it_was(
    running: Running, monkeypatch: pytest.MonkeyPatch, error: SailplaneError
) -> None:
    monkeypatch.setattr(rollout, "MOST_FAILED", 3)

    def away(_what: str) -> None:
        raise error

    running.place.before = away
    assert events(running.trigger()) == [{"error": str(error)}]
    assert running.stage == "starting"


def test_past_its_deadline_it_goes_back(running: Running) -> None:
    past = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    (event,) = events(running.trigger(deadline=past))
    assert event["phase"] == "failed"
    assert running.serving.entry(CANARY).state.reason == f"it did not end by {past}"
    assert running.place.split() == TrafficSplit({CHAMPION: 100})


def test_who_marks_or_clears_the_task_takes_the_version_back(running: Running) -> None:
    trigger = running.trigger()

    async def kill_half_way() -> None:
        async def drive() -> None:
            async for _ in trigger.run():
                raise AssertionError("it ended")

        task = asyncio.create_task(drive())
        while running.stage != "baking 0":
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await trigger.on_kill()

    asyncio.run(kill_half_way())
    assert running.stage == "failed"
    assert running.place.split() == TrafficSplit({CHAMPION: 100})
    assert records.decisions(running.ledger, NAME, CANARY)[-2].by == "Airflow"


def test_it_goes_on_taking_the_version_back_after_a_look_that_found_no_room_on_the_disk(running: Running) -> None:
    full = iter([True])

    def stops(what: str) -> None:
        if what == "stop" and next(full, False):
            raise StorageError("write", "rds.yaml", got="the disk is too full")

    running.place.before = stops
    asyncio.run(running.trigger().on_kill())
    assert running.stage == "failed"


def test_a_trigger_whose_task_was_cleared_lets_the_next_turn_be(running: Running) -> None:
    trigger = running.trigger()
    running.serving.begin(PLAN, get(running.ledger, NAME, CANARY), "task", "after a clear")
    done = list(running.place.done)
    asyncio.run(trigger.on_kill())
    entry = running.serving.entry(CANARY)
    assert (entry.attempt, entry.state.phase, entry.state.reason) == (2, "starting", "")
    assert running.place.done == done
