from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from sailplane.errors import ConflictError, DeploymentError, ServiceError
from sailplane.ledger import Ledger
from sailplane.registry.models import alias, get
from sailplane.serving.local import deployments
from sailplane.serving.rollout import entries, journal
from sailplane.serving.rollout.declared import ErrorRate
from sailplane.serving.rollout.drive import Driver
from sailplane.serving.rollout.observations import Observations
from sailplane.serving.rollout.plan import Rollout
from sailplane.serving.rollout.run import AT_ONCE, Serving
from sailplane.serving.rollout.state import State
from sailplane.serving.target import Progress, Split
from tests.unit.serving.rollout.place import CANARY, CHAMPION, NAME, Clock, Place, register

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
    """One rollout in a place of its own, a look a second."""

    def __init__(self, ledger: Ledger, plan: Rollout = PLAN, *, champion: str | None = CHAMPION) -> None:
        self.place, self.clock, self.ledger = Place(), Clock(), ledger
        if champion is None:
            self.place.weights, self.place.running = {}, {}
        register(ledger, CHAMPION, CANARY, champion=champion)
        self.serving = Serving(
            ledger, self.place, self.place, name=NAME, endpoint="http://x", clock=self.clock, sleep=self.clock.sleep
        )
        self.plan = plan
        self.driver = self.new_driver()

    def new_driver(self) -> Driver:
        return self.serving.driver(CANARY)

    def begin(self, owner: str = "task 1") -> entries.Entry:
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
        return [one.after for one in entries.decisions(self.ledger, NAME, CANARY)]


@pytest.fixture
def served(ledger: Ledger) -> Iterator[Served]:
    served = Served(ledger)
    served.begin()
    return served


def names(ledger: Ledger) -> dict[str, str]:
    found = {one: alias(ledger, NAME, one) for one in ("champion", "previous")}
    return {one: model.version for one, model in found.items() if model}


def test_a_version_without_fault_goes_through_all_steps_and_is_the_champion(served: Served, ledger: Ledger) -> None:
    assert served.until(lambda state: state.ended).phase == "succeeded"
    assert served.stages == ["starting", "shadowing", "baking 0", "baking 1", "promoting", "succeeded"]
    assert served.place.done == [f"begin {CANARY}", "move 0", "move 10", "move 50", "move 100", f"stop {CHAMPION}"]
    assert names(ledger) == {"champion": CANARY, "previous": CHAMPION}
    (recorded,) = deployments(ledger)
    assert (recorded.version, recorded.weights, recorded.endpoint) == (CANARY, {CANARY: 100}, "http://x")


def test_a_shadow_sees_all_requests_and_has_no_traffic(served: Served) -> None:
    served.until(lambda state: state.phase == "shadowing")
    assert served.place.split() == Split({CHAMPION: 100}, shadow=CANARY)
    assert served.look(failing=0.8).phase == "failed"
    assert served.place.split() == Split({CHAMPION: 100})


def test_a_step_lasts_as_long_as_it_was_said_to(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    began = served.clock.now
    served.until(lambda state: state.stage == "baking 1")
    assert 20 <= served.clock.now - began <= 21


def test_a_version_that_fails_is_taken_back_at_the_look_that_finds_it(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 1")
    state = served.look(failing=0.9)
    assert state.phase == "failed"
    assert served.place.split() == Split({CHAMPION: 100})
    assert served.place.done[-2:] == ["move 0", f"stop {CANARY}"]
    assert names(ledger) == {"champion": CHAMPION}
    assert "error rate: 0.9000" in state.reason
    assert deployments(ledger)[0].weights == {CHAMPION: 100}


def test_every_decision_is_kept_with_its_time_and_what_it_was_made_on(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look(failing=0.9)
    *_, back, _failed = entries.decisions(ledger, NAME, CANARY)
    assert (back.before, back.after, back.time) == ("baking 0", "rolling back", served.clock.now)
    (finding,) = back.findings
    assert (finding.outcome, finding.count, finding.limit) == ("failed", 10, 0.1)
    assert str(finding) == back.reason
    shadowed = entries.decisions(ledger, NAME, CANARY)[2]
    assert [finding.outcome for finding in shadowed.findings] == ["passed"]


@pytest.mark.parametrize(("too_few", "phase"), [("fail", "failed"), ("pass", "succeeded")])
def test_a_step_waits_for_requests_and_then_the_plan_says_what_it_means_that_none_came(
    ledger: Ledger, too_few: str, phase: str
) -> None:
    served = Served(ledger, replace(PLAN, shadow=None, steps=(10, 100), too_few=too_few))  # type: ignore[arg-type]
    served.begin()
    served.until(lambda state: state.phase == "baking")
    began = served.clock.now
    state = served.until(lambda state: state.ended, requests=0)
    assert state.phase == phase
    assert 30 <= served.clock.now - began <= 31
    if phase == "failed":
        assert state.reason == "not enough requests within 10s more: error rate: 0, expected 20"


def test_a_version_that_does_not_start_is_given_up_and_nothing_moves(served: Served) -> None:
    served.place.running[CANARY] = Progress("failed", "the model is damaged")
    state = served.look()
    assert (state.phase, state.reason) == ("failed", "the version does not run: the model is damaged")
    assert served.place.splits == []
    assert served.place.done == [f"begin {CANARY}", f"stop {CANARY}"]


def test_a_version_that_takes_too_long_to_start_is_given_up(ledger: Ledger) -> None:
    served = Served(ledger)
    served.place.ready_after = 1000
    served.begin()
    began = served.clock.now
    state = served.until(lambda state: state.ended)
    assert state.reason == "the version is not ready within 40s: it loads"
    assert 40 <= served.clock.now - began <= 43


def test_a_version_that_is_started_anew_goes_on_and_one_that_stays_away_is_taken_back(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.place.running[CANARY] = Progress("starting", "it was killed")
    for _ in range(20):
        assert served.look().stage == "baking 0"
    served.place.running[CANARY] = Progress("ready")
    served.look()
    served.place.running[CANARY] = Progress("starting", "it was killed")
    began = served.clock.now
    state = served.until(lambda state: state.ended)
    assert state.reason == "the version is not ready for 30 s: it was killed"
    assert 30 <= served.clock.now - began <= 32


def test_a_version_of_which_nothing_can_be_read_is_away_and_the_champions_counts_are_asked_for_again(
    served: Served,
) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.place.unread = {CHAMPION}
    with pytest.raises(ServiceError, match="read the metrics of v1: nobody answers"):
        served.look()
    served.place.unread = {CANARY}
    began = served.clock.now
    state = served.until(lambda state: state.ended)
    assert state.reason == "the version is not ready for 30 s: read the metrics of v2: nobody answers."
    assert 30 <= served.clock.now - began <= 33


def test_counts_that_begin_anew_with_a_new_server_are_added_to_those_before(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look(), served.look(requests=200)
    served.place.totals[CANARY] = Observations(started=5.0, requests=7)
    state = served.look(requests=0)
    assert state.canary.seen.requests == 37


def test_the_first_version_of_a_model_gets_all_the_traffic_at_once(ledger: Ledger) -> None:
    served = Served(ledger, champion=None)
    served.begin()
    assert served.until(lambda state: state.ended).phase == "succeeded"
    assert served.stages == ["starting", "promoting", "succeeded"]
    assert names(ledger) == {"champion": CANARY}


def test_time_in_which_nobody_looked_does_not_count(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look(requests=2000)
    served.clock.now += 86_400
    assert served.look().stage == "baking 0"
    served.clock.now -= 2 * 86_400
    assert served.look().watched <= 8


def test_a_driver_that_dies_is_followed_by_another_one_at_the_same_step(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 1")
    done = list(served.place.done)
    served.driver = served.new_driver()
    assert served.driver.tick() is None, "the lease of the one that died"
    served.clock.now += journal.LEASE_SECONDS
    assert served.look().stage == "baking 1"
    assert served.place.done == done


def test_a_retry_goes_on_and_a_retry_of_what_ended_gives_the_same_end(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 1")
    assert served.begin().state.stage == "baking 1"
    served.clock.now += journal.LEASE_SECONDS + 1
    served.until(lambda state: state.ended)
    done = list(served.place.done)
    assert served.begin().state.phase == "succeeded"
    assert served.place.done == done


def test_a_task_that_was_cleared_begins_anew(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look(), served.look(failing=1)
    entry = served.begin("task 2")
    assert (entry.attempt, entry.state.phase) == (2, "starting")
    assert served.until(lambda state: state.ended).phase == "succeeded"


def test_a_second_rollout_of_the_same_model_is_refused_while_one_is_on_its_way(served: Served) -> None:
    with pytest.raises(DeploymentError, match=r"v2 is on its way \(starting\), begun by task 1. .*rollback m"):
        served.begin("task 2")


def test_a_driver_that_somebody_came_before_does_nothing(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look()
    done = list(served.place.done)

    def meddle(what: str) -> None:
        served.place.before = lambda _what: None
        journal.abort(ledger, NAME, "enough", "Ada")

    served.place.before = meddle
    with pytest.raises(ConflictError, match="another one goes on"):
        served.look(failing=0.9)
    assert served.place.done == done
    state = served.look()
    assert (state.phase, state.reason) == ("failed", "enough")
    assert entries.decisions(ledger, NAME, CANARY)[-2].by == "Ada"


def test_nor_does_one_that_somebody_came_before_after_it_decided(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 0")

    def meddle(what: str) -> None:
        if what == "split" and served.stages[-1] == "baking 1":
            journal.abort(ledger, NAME, "enough", "Ada")
            served.driver, other = served.new_driver(), served.driver
            served.driver.tick()
            served.driver = other
            served.place.running[CANARY] = Progress("ready", "it takes its time to end")

    served.place.before = meddle
    with pytest.raises(ConflictError, match="another one goes on"):
        served.until(lambda state: state.ended)
    assert served.stages[-3:] == ["baking 1", "rolling back", "failed"]
    assert "move 50" not in served.place.done
    assert served.place.split() == Split({CHAMPION: 100})


def test_what_the_target_refuses_ends_the_rollout_and_what_it_cannot_be_asked_is_asked_again(served: Served) -> None:
    served.until(lambda state: state.phase == "shadowing")

    def away(what: str) -> None:
        raise ServiceError("ask", "the router", got="nobody answers")

    served.place.before = away
    with pytest.raises(ServiceError, match="nobody answers"):
        served.look()
    served.place.before = lambda _what: None
    served.until(lambda state: state.stage == "baking 0")

    def refuse(what: str) -> None:
        if what == "move" and served.place.weights.get(CANARY) == 10:
            served.place.before = lambda _what: None
            raise DeploymentError("move", CANARY, got="no such cluster")

    served.place.before = refuse
    state = served.until(lambda state: state.ended)
    assert (state.phase, state.reason) == ("failed", "move v2: no such cluster.")
    assert served.place.split() == Split({CHAMPION: 100})


def test_traffic_that_somebody_else_moved_is_moved_back(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.place.weights = {CHAMPION: 100}
    served.look()
    assert served.place.weights == {CHAMPION: 90, CANARY: 10}


def test_a_persons_word_needs_no_proof(ledger: Ledger) -> None:
    served = Served(ledger, AT_ONCE)
    served.begin("Ada")
    assert served.until(lambda state: state.ended, requests=0).phase == "succeeded"
    assert served.stages == ["starting", "promoting", "succeeded"]
