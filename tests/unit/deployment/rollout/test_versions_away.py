"""A version that does not start, or stops."""

from __future__ import annotations

import pytest

from sailplane.deployment.target import VersionProgress
from sailplane.errors import ServiceError
from sailplane.ledger import Ledger
from sailplane.serving.observations import Observations
from tests.unit.deployment.rollout.served import Served
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION


def test_a_version_that_does_not_start_is_given_up_and_nothing_moves(served: Served) -> None:
    served.place.running[CANARY] = VersionProgress("failed", "the model is damaged")
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
    served.place.running[CANARY] = VersionProgress("starting", "it was killed")
    for _ in range(20):
        assert served.look().stage == "baking 0"
    served.place.running[CANARY] = VersionProgress("ready")
    served.look()
    served.place.running[CANARY] = VersionProgress("starting", "it was killed")
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
