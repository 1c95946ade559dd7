"""A rollout moves from one step to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sailplane.deployment.local.endpoint import deployments
from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.run import AT_ONCE
from sailplane.deployment.target import TrafficSplit
from sailplane.ledger import Ledger
from tests.unit.deployment.rollout.served import PLAN, Served, names
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION, NAME


def test_a_version_without_fault_goes_through_all_steps_and_is_the_champion(served: Served, ledger: Ledger) -> None:
    assert served.until(lambda state: state.ended).phase == "succeeded"
    assert served.stages == ["starting", "shadowing", "baking 0", "baking 1", "promoting", "succeeded"]
    assert served.place.done == [f"begin {CANARY}", "move 0", "move 10", "move 50", "move 100", f"stop {CHAMPION}"]
    assert names(ledger) == {"champion": CANARY, "previous": CHAMPION}
    (recorded,) = deployments(ledger)
    assert (recorded.version, recorded.weights, recorded.endpoint) == (CANARY, {CANARY: 100}, "http://x")


def test_a_shadow_sees_all_requests_and_has_no_traffic(served: Served) -> None:
    served.until(lambda state: state.phase == "shadowing")
    assert served.place.split() == TrafficSplit({CHAMPION: 100}, shadow=CANARY)
    assert served.look(failing=0.8).phase == "failed"
    assert served.place.split() == TrafficSplit({CHAMPION: 100})


def test_a_step_lasts_as_long_as_it_was_said_to(served: Served) -> None:
    served.until(lambda state: state.stage == "baking 0")
    began = served.clock.now
    served.until(lambda state: state.stage == "baking 1")
    assert 20 <= served.clock.now - began <= 21


def test_a_version_that_fails_is_taken_back_at_the_look_that_finds_it(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 1")
    state = served.look(failing=0.9)
    assert state.phase == "failed"
    assert served.place.split() == TrafficSplit({CHAMPION: 100})
    assert served.place.done[-2:] == ["move 0", f"stop {CANARY}"]
    assert names(ledger) == {"champion": CHAMPION}
    assert "error rate: 0.9000" in state.reason
    assert deployments(ledger)[0].weights == {CHAMPION: 100}


def test_every_decision_is_kept_with_its_time_and_what_it_was_made_on(served: Served, ledger: Ledger) -> None:
    served.until(lambda state: state.stage == "baking 0")
    served.look(failing=1.0)
    *_, back, _failed = records.decisions(ledger, NAME, CANARY)
    assert (back.before, back.after, back.time) == ("baking 0", "rolling back", served.clock.now)
    (finding,) = back.findings
    assert (finding.outcome, finding.count, finding.limit) == ("failed", 10, 0.1)
    assert str(finding) == back.reason
    shadowed = records.decisions(ledger, NAME, CANARY)[2]
    assert [finding.outcome for finding in shadowed.findings] == ["passed"]


@pytest.mark.slow
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


def test_the_first_version_of_a_model_gets_all_the_traffic_at_once(ledger: Ledger) -> None:
    served = Served(ledger, champion=None)
    served.begin()
    assert served.until(lambda state: state.ended).phase == "succeeded"
    assert served.stages == ["starting", "promoting", "succeeded"]
    assert names(ledger) == {"champion": CANARY}


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
