"""A rollout of a simulated target, with a look each second."""

from __future__ import annotations

from collections.abc import Callable

from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.check_specs import ErrorRate
from sailplane.deployment.rollout.drive import Driver
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.state import State
from sailplane.ledger import Ledger
from sailplane.registry.models import alias, get
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION, NAME, Clock, Place, register, serving_at

PLAN = Rollout(
    shadow="3s",
    steps=[10, 50, 100],
    bake="20s",
    extend="10s",
    start="40s",
    min_requests=20,
    checks=[ErrorRate(maximum=0.1)],
)


class Served:
    """`look` lets a second pass, in which requests come in."""

    def __init__(self, ledger: Ledger, plan: Rollout = PLAN, *, champion: str | None = CHAMPION) -> None:
        self.place, self.clock, self.ledger = Place(), Clock(), ledger
        if champion is None:
            self.place.weights, self.place.running = {}, {}
        register(ledger, CHAMPION, CANARY, champion=champion)
        self.serving = serving_at(self.place, ledger, self.clock)
        self.plan = plan
        self.driver = self.new_driver()

    def new_driver(self) -> Driver:
        return self.serving.driver(CANARY)

    def begin(self, owner: str = "task 1") -> records.RolloutRecord:
        return self.serving.begin(self.plan, get(self.ledger, NAME, CANARY), owner)

    def look(self, requests: int = 100, failing: float = 0.0) -> State:
        self.clock.now += 1
        self.place.serve(requests, failing=failing)
        state = self.driver.tick()
        assert state is not None
        return state

    def until(self, condition: Callable[[State], bool], **traffic: float) -> State:
        for _ in range(100):
            state = self.look(**traffic)  # type: ignore[arg-type]
            if condition(state):
                return state
        raise AssertionError(f"still {state.stage}")

    @property
    def stages(self) -> list[str]:
        return [one.after for one in records.decisions(self.ledger, NAME, CANARY)]


def names(ledger: Ledger) -> dict[str, str]:
    found = {one: alias(ledger, NAME, one) for one in ("champion", "previous")}
    return {one: model.version for one, model in found.items() if model}
