"""A scorer's plans for its memory as bodies come and go, with a clock that tests set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.serving import scorer as module
from sailplane.serving.scorer import Scorer


@dataclass
class Planned:
    """A trim that is planned for this time."""

    at: float
    work: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Plans:
    """Replaces the thread in which a scorer trims its memory."""

    now: float = 1000.0
    made: list[Planned] = field(default_factory=list)

    def later(self, work: Callable[[], object], seconds: Sequence[float]) -> list[Planned]:
        new = [Planned(self.now + one, work) for one in seconds]
        self.made += new
        return new

    @property
    def kept(self) -> list[float]:
        assert {plan.work for plan in self.made} == {module.trim}
        return [plan.at for plan in self.made if not plan.cancelled]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Plans:
    plans = Plans()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: plans.now))
    return plans


@pytest.fixture
def scorer(bundle: Bundle, plans: Plans, monkeypatch: pytest.MonkeyPatch) -> Scorer:
    scorer = Scorer(bundle)
    monkeypatch.setattr(scorer.long, "later", plans.later)
    return scorer


def test_many_bodies_that_are_given_up_bring_few_trims(scorer: Scorer, plans: Plans) -> None:
    """It trims at once, not again a moment later, and some time after the last of them."""
    begun = plans.now
    for number in range(100):
        plans.now = begun + number / 128
        scorer.in_flight.discarded()
    assert plans.kept == [begun, *(plans.now + one for one in module._TRIM_SECONDS)]


def test_bodies_that_are_given_up_for_long_bring_a_trim_a_second(scorer: Scorer, plans: Plans) -> None:
    begun = plans.now
    for quarter in range(9):
        plans.now = begun + quarter / 4
        scorer.in_flight.discarded()
    at_once = [begun, begun + module._BETWEEN_TRIMS, begun + 2 * module._BETWEEN_TRIMS]
    assert plans.kept == [*at_once, *(plans.now + one for one in module._TRIM_SECONDS)]


def test_what_is_planned_runs_in_the_thread(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    async def give_up() -> None:
        trimmed, loop = asyncio.Event(), asyncio.get_running_loop()
        monkeypatch.setattr(module, "trim", lambda: loop.call_soon_threadsafe(trimmed.set))
        Scorer(bundle).in_flight.discarded()
        await asyncio.wait_for(trimmed.wait(), 30)

    asyncio.run(give_up())
