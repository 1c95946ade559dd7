"""After kills, repeated steps and wrong clocks a rollout continues where it was, and moves in one direction only."""

from __future__ import annotations

from itertools import groupby, pairwise

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.check_specs import ErrorRate
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import LeaseError
from sailplane.ledger import Ledger, tables
from sailplane.registry.models import alias, get
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION, NAME, Clock, Place, register, serving_at

PLAN = Rollout(
    shadow="2s",
    steps=[10, 50, 100],
    bake="3s",
    extend="4s",
    start="9s",
    min_requests=5,
    checks=[ErrorRate(maximum=0.2)],
)
# A separate database, which exists as long as its engine.
LEDGER = Ledger.create("sqlite://")
TIMES = st.integers(1, 12)


class Killed(BaseException):
    """Stands for the death of the driver's process."""


class Rollouts(RuleBasedStateMachine):
    @initialize(ready_after=st.integers(1, 4), dies_at=st.none() | TIMES)
    def start(self, ready_after: int, dies_at: int | None) -> None:
        with LEDGER.begin() as connection:
            for table in reversed(tables.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        register(LEDGER, CHAMPION, CANARY)
        self.place, self.clock = Place(ready_after=ready_after), Clock()
        self.serving = serving_at(self.place, LEDGER, self.clock)
        self.drivers = [self.serving.driver(CANARY) for _ in range(2)]
        self.begun = False
        self._dying(dies_at, self._begin)

    @rule(dies_at=st.none() | TIMES)
    def the_task_is_tried_again(self, dies_at: int | None) -> None:
        self._dying(dies_at, self._begin)

    def _begin(self) -> None:
        self.serving.begin(PLAN, get(LEDGER, NAME, CANARY), "task")

    @precondition(lambda self: self.begun)
    @rule(
        which=st.integers(0, 1),
        seconds=st.integers(0, 4),
        requests=st.sampled_from([0, 200, 200]),
        failing=st.sampled_from([0.0] * 11 + [0.9]),
        dies_at=st.none() | st.none() | TIMES,
        other_at=st.none() | TIMES,
        late=st.booleans(),
    )
    def a_driver_looks(
        self,
        which: int,
        seconds: int,
        requests: int,
        failing: float,
        dies_at: int | None,
        other_at: int | None,
        late: bool,
    ) -> None:
        """The driver looks once. At `other_at` the other driver looks too; if `late`, after this driver's lease has
        expired."""
        self.clock.now += seconds
        self.place.serve(requests, failing=failing)

        def come_between() -> None:
            self.clock.now += repository.LEASE_SECONDS + 1 if late else 0
            self.drivers[1 - which].tick()

        self._dying(dies_at, lambda: self.drivers[which].tick(), other_at, come_between)
        if dies_at is not None:
            self.drivers[which] = self.serving.driver(CANARY)

    @rule(seconds=st.sampled_from([-100_000, -20, 20, 100_000]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.clock.now += seconds

    @precondition(lambda self: CANARY in self.place.running)
    @rule(state=st.sampled_from(["starting", "starting", *["ready"] * 8, "failed"]))
    def its_server_changes(self, state: str) -> None:
        self.place.running[CANARY] = VersionProgress(state, "the test says so")  # type: ignore[arg-type]
        self.place.starting = 3 if state == "starting" else 0

    @precondition(lambda self: self.begun)
    @rule(once_in=st.integers(1, 20))
    def somebody_ends_it(self, once_in: int) -> None:
        if once_in == 20:
            repository.abort(LEDGER, NAME, "Ada wants it back", "Ada", self.clock.now)

    @invariant()
    def all_of_the_traffic_goes_somewhere(self) -> None:
        assert sum(self.place.weights.values()) == 100
        assert all(version in self.place.running for version, weight in self.place.weights.items() if weight)

    @invariant()
    def the_champion_serves_until_it_is_decided_to_promote(self) -> None:
        phase = self._phase()
        if phase not in ("promoting", "succeeded"):
            assert self.place.weights.get(CHAMPION, 0) > 0
            assert self._named("champion") == CHAMPION

    @invariant()
    def what_ended_is_complete(self) -> None:
        match self._phase():
            case "failed":
                assert self.place.split() == TrafficSplit({CHAMPION: 100})
                assert CANARY not in self.place.running
            case "succeeded":
                assert self.place.split() == TrafficSplit({CANARY: 100})
                assert (self._named("champion"), self._named("previous")) == (CANARY, CHAMPION)
                assert CHAMPION not in self.place.running

    @invariant()
    def no_step_is_entered_twice(self) -> None:
        weights = [weight for weight, _ in groupby(split.weights.get(CANARY, 0) for split in self.place.splits)]
        stepped = weights[1:] if weights[:1] == [0] else weights
        back = stepped.index(0) if 0 in stepped else len(stepped)
        assert stepped[back:] in ([], [0])
        assert all(before < after for before, after in pairwise(stepped[:back]))
        assert len(stages := self._stages()) == len(set(stages))

    @invariant()
    def the_ledger_says_why_it_is_where_it_is(self) -> None:
        if not self.begun:
            return
        decided = records.decisions(LEDGER, NAME, CANARY)
        assert decided[-1].after == self.serving.entry(CANARY).state.stage
        assert [one.after for one in decided[:-1]] == [one.before for one in decided[1:]]
        for one in decided:
            if one.before.startswith("baking") and one.after != "rolling back":
                assert all(finding.outcome == "passed" and finding.count >= 5 for finding in one.findings)

    def teardown(self) -> None:
        """Lets a living driver finish the rollout."""
        if not self.begun:
            return
        if self.place.running.get(CANARY) == VersionProgress("starting", "the test says so"):
            self.place.running[CANARY] = VersionProgress("ready")
        driver = self.serving.driver(CANARY)
        for _ in range(100):
            self.clock.now += 1
            self.place.serve(200)
            state = driver.tick()
            if state is not None and state.ended:
                break
        assert self._phase() in ("succeeded", "failed")
        self.what_ended_is_complete()
        self.no_step_is_entered_twice()

    def _dying(self, at, act, other_at=None, other=None) -> None:
        """Runs `act`, which is killed at this verb of the target, before or after its effect."""
        calls = 0

        def called(what: str) -> None:
            nonlocal calls
            calls += 1
            # No other driver comes between the last look at the lease and the act after it.
            if calls == other_at and what not in ("begin", "move", "stop"):
                other()
            if calls == at:
                raise Killed

        self.place.before = self.place.after = called
        try:
            act()
        except (Killed, LeaseError):
            pass
        finally:
            self.place.before = self.place.after = lambda _what: None
            self.begun = records.find(LEDGER, NAME, CANARY) is not None

    def _phase(self) -> str:
        entry = records.find(LEDGER, NAME, CANARY)
        return entry.state.phase if entry else "none"

    def _stages(self) -> list[str]:
        return [one.after for one in records.decisions(LEDGER, NAME, CANARY)]

    def _named(self, name: str) -> str | None:
        model = alias(LEDGER, NAME, name)
        return model.version if model else None


Rollouts.TestCase.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
test_rollouts = Rollouts.TestCase
