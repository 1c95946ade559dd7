"""The drivers of a rollout: none for a while, a new one, two at a time."""

from __future__ import annotations

import pytest

from sailplane.deployment.rollout import records, repository
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError, LeaseError, ServiceError
from sailplane.ledger import Ledger
from tests.unit.deployment.rollout.served import Served
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION, NAME


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
    served.clock.now += repository.LEASE_SECONDS
    assert served.look().stage == "baking 1"
    assert served.place.done == done


def test_a_retry_goes_on_and_a_retry_of_what_ended_gives_the_same_end(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 1")
    assert served.begin().state.stage == "baking 1"
    served.clock.now += repository.LEASE_SECONDS + 1
    served.until(lambda state: state.ended)
    done = list(served.place.done)
    assert served.begin().state.phase == "succeeded"
    assert served.place.done == done


@pytest.mark.slow
def test_a_task_that_was_cleared_begins_anew(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look()
    served.until(lambda state: state.ended, failing=1)
    entry = served.begin("task 2")
    assert served.stages[-3:] == ["rolling back", "failed", "starting"]
    assert (entry.attempt, entry.state.phase) == (2, "starting")
    assert served.until(lambda state: state.ended).phase == "succeeded"


def test_a_second_rollout_of_the_same_model_is_refused_while_one_is_running(served: Served) -> None:
    refusal = r"a rollout of v2 is running \(starting\), started by task 1\. .*rollback m"
    with pytest.raises(DeploymentError, match=refusal):
        served.begin("task 2")


def test_a_driver_that_somebody_came_before_does_nothing(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look()
    done = list(served.place.done)

    def meddle(what: str) -> None:
        served.place.before = lambda _what: None
        repository.abort(ledger, NAME, "enough", "Ada")

    served.place.before = meddle
    with pytest.raises(LeaseError, match="another driver has taken it"):
        served.look(failing=0.9)
    assert served.place.done == done
    state = served.look()
    assert (state.phase, state.reason) == ("failed", "enough")
    assert records.decisions(ledger, NAME, CANARY)[-2].by == "Ada"


def test_nor_does_one_that_somebody_came_before_after_it_decided(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 0")

    def meddle(what: str) -> None:
        if what == "split" and served.stages[-1] == "baking 1":
            repository.abort(ledger, NAME, "enough", "Ada")
            served.driver, other = served.new_driver(), served.driver
            served.driver.tick()
            served.driver = other
            served.place.running[CANARY] = VersionProgress("ready", "it takes its time to end")

    served.place.before = meddle
    with pytest.raises(LeaseError, match="another driver has taken it"):
        served.until(lambda state: state.ended)
    assert served.stages[-3:] == ["baking 1", "rolling back", "failed"]
    assert "move 50" not in served.place.done
    assert served.place.split() == TrafficSplit({CHAMPION: 100})


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
    assert served.place.split() == TrafficSplit({CHAMPION: 100})
