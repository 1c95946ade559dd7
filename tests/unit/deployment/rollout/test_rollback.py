from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sailplane.deployment.rollout import records
from sailplane.deployment.rollout.check_specs import ErrorRate
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.rollback import roll_back
from sailplane.deployment.rollout.run import ModelEndpoint
from sailplane.deployment.target import TrafficSplit, VersionProgress
from sailplane.errors import DeploymentError, HeldError, ModelError
from sailplane.records import Approval
from sailplane.registry import aliases, holds
from sailplane.registry.models import alias, get, promote, versions
from tests.homes import new_ledger
from tests.unit.deployment.rollout.simulated_target import CANARY, CHAMPION, NAME, Clock, Place, register, serving_at


@pytest.fixture
def serving(tmp_path: Path) -> ModelEndpoint:
    """`v2` serves, and `v1` served before."""
    ledger, place = new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Place()
    register(ledger, CHAMPION, CANARY)
    promote(ledger, NAME, CANARY)
    place.running, place.weights = {CANARY: VersionProgress("ready")}, {CANARY: 100}
    return serving_at(place, ledger, Clock(step=0.1))


def place_of(serving: ModelEndpoint) -> Place:
    assert isinstance(serving.target, Place)
    return serving.target


def champion(serving: ModelEndpoint) -> str:
    model = alias(serving.ledger, NAME, "champion")
    assert model
    return model.version


def test_the_version_before_serves_again_and_who_asked_for_it_is_recorded(serving: ModelEndpoint) -> None:
    assert roll_back(serving, "ada@host") == CHAMPION
    assert place_of(serving).split() == TrafficSplit({CHAMPION: 100})
    assert champion(serving) == CHAMPION
    first, *_ = records.decisions(serving.ledger, NAME, CHAMPION)
    assert (first.by, first.after) == ("ada@host", "starting")
    assert serving.entry(CHAMPION).lease_until == 0
    assert place_of(serving).done == [f"begin {CHAMPION}", "move 0", f"stop {CANARY}"]


def test_a_second_rollback_goes_further_back_and_never_to_what_was_rolled_back(serving: ModelEndpoint) -> None:
    register(serving.ledger, "v3", champion="v3")
    assert [roll_back(serving, "ada") for _ in range(2)] == [CANARY, CHAMPION]
    with pytest.raises(
        ModelError, match=r"no version is left that was not rolled back: .*v3 was rolled back on .*--to"
    ):
        roll_back(serving, "ada")
    assert champion(serving) == CHAMPION
    assert {one.model.version: one.aliases for one in versions(serving.ledger, NAME)} == {
        CHAMPION: ("champion",),
        CANARY: (),
        "v3": (),
    }


def test_a_rolled_back_version_serves_again_if_a_person_names_it_and_then_says_nothing_against_the_other(
    serving: ModelEndpoint,
) -> None:
    assert [roll_back(serving, "ada"), roll_back(serving, "ada", to=CANARY)] == [CHAMPION, CANARY]
    assert [one.model.version for one in versions(serving.ledger, NAME) if one.rolled_back] == []
    assert roll_back(serving, "ada") == CHAMPION, "as if it had not been"


@pytest.mark.slow
def test_a_rollback_holds_the_model_with_who_when_and_why(
    serving: ModelEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    before = time.time()
    roll_back(serving, "ada@host")
    hold = holds.find(serving.ledger, NAME)
    assert hold
    assert (hold.by, hold.version, hold.serves) == ("ada@host", CANARY, CHAMPION)
    assert before <= hold.since <= time.time()
    assert capsys.readouterr().out.endswith(
        "when ada@host rolled back v2 to v1. `sailplane release m`, or the approval of a model, lifts the hold.\n"
    )


def test_without_a_hold_only_the_version_is_marked(serving: ModelEndpoint) -> None:
    roll_back(serving, "ada", hold=False)
    assert holds.find(serving.ledger, NAME) is None
    [bad] = [one for one in versions(serving.ledger, NAME) if one.rolled_back]
    assert (bad.model.version, bad.rolled_back and bad.rolled_back.by) == (CANARY, "ada")


def test_the_hold_comes_in_the_transaction_that_records_the_rollback(serving: ModelEndpoint) -> None:
    """A reader of the ledger sees the old champion without a hold, or the new one with it."""
    seen = []

    def look(_what: str) -> None:
        seen.append((champion(serving), holds.find(serving.ledger, NAME) is not None))

    place_of(serving).before = place_of(serving).after = look
    roll_back(serving, "ada")
    look("")
    assert set(seen) == {(CANARY, False), (CHAMPION, True)}


def test_a_rollback_that_fails_holds_nothing_and_marks_nothing(serving: ModelEndpoint) -> None:
    place_of(serving).damaged.add(CHAMPION)
    with pytest.raises(ModelError):
        roll_back(serving, "ada")
    assert holds.find(serving.ledger, NAME) is None
    assert not any(one.rolled_back for one in versions(serving.ledger, NAME))


def test_a_rollback_that_was_killed_in_the_middle_is_done_by_the_next_one(serving: ModelEndpoint) -> None:
    place_of(serving).ready_after = 3
    serving.begin_back(get(serving.ledger, NAME, CHAMPION), "ada", hold=True)
    assert records.active(serving.ledger, NAME) is not None
    assert roll_back(serving, "ada") == CHAMPION
    assert champion(serving) == CHAMPION
    assert [one.model.version for one in versions(serving.ledger, NAME) if one.rolled_back] == [CANARY]


def test_a_rollback_that_was_killed_after_it_moved_the_traffic_is_ended_and_goes_no_further(
    serving: ModelEndpoint,
) -> None:
    register(serving.ledger, "v3", champion="v3")
    place_of(serving).weights, place_of(serving).running["v3"] = {"v3": 100}, VersionProgress("ready")

    def killed(what: str) -> None:
        if what == "move":
            raise KeyboardInterrupt

    place_of(serving).after = killed
    with pytest.raises(KeyboardInterrupt):
        roll_back(serving, "ada")
    place_of(serving).after = lambda _what: None
    assert serving.entry(CANARY).state.phase == "promoting"
    assert roll_back(serving, "ada") == CANARY
    assert champion(serving) == CANARY
    assert [one.model.version for one in versions(serving.ledger, NAME) if one.rolled_back] == ["v3"]


def test_while_the_model_is_held_a_rollout_of_a_task_begins_only_with_a_newer_approval(serving: ModelEndpoint) -> None:
    register(serving.ledger, "v3", champion=None)
    old = Approval(approved=True, by="ada", note="", at=datetime.now(UTC))
    roll_back(serving, "ada")
    new, third = replace(old, at=datetime.now(UTC)), get(serving.ledger, NAME, "v3")
    plan = Rollout(steps=[10, 100], bake="5m", checks=[ErrorRate()])
    for answer in (None, old, replace(new, by_person=False), replace(new, approved=False)):
        with pytest.raises(HeldError, match=r"deploy m: its automatic deployments .* hold since .* release m"):
            serving.begin(plan, third, "task", approval=answer)
    assert records.active(serving.ledger, NAME) is None
    serving.begin(plan, third, "task", approval=new)
    assert holds.find(serving.ledger, NAME) is None


def test_a_version_that_failed_the_checks_of_its_rollout_is_marked(serving: ModelEndpoint) -> None:
    register(serving.ledger, "v3", champion=None)
    with serving.ledger.begin() as connection:
        aliases.challenge(connection, NAME, "v3")
    plan = Rollout(steps=[10, 100], bake="5m", checks=[ErrorRate(maximum=0.1)])
    serving.begin(plan, get(serving.ledger, NAME, "v3"), "task")
    driver = serving.driver("v3")
    while not serving.entry("v3").state.ended:
        place_of(serving).serve(1000, failing=0.9, well=(CHAMPION, CANARY))
        driver.tick()
    [bad] = [one for one in versions(serving.ledger, NAME) if one.rolled_back]
    assert (bad.model.version, bad.aliases) == ("v3", ())
    assert str(bad.rolled_back).endswith("by the checks of its rollout")
    assert holds.find(serving.ledger, NAME) is None, "no person rolled back"


def test_a_damaged_version_begins_nothing_and_is_in_nobodys_way(serving: ModelEndpoint) -> None:
    place_of(serving).damaged.add(CHAMPION)
    with pytest.raises(ModelError, match="it is damaged"):
        roll_back(serving, "ada")
    assert records.active(serving.ledger, NAME) is None
    assert (champion(serving), place_of(serving).done) == (CANARY, [])
    place_of(serving).damaged.clear()
    assert roll_back(serving, "ada") == CHAMPION


def test_a_rollout_of_a_task_with_a_damaged_version_begins_nothing_either(serving: ModelEndpoint) -> None:
    register(serving.ledger, "v3", "v4", champion=None)
    place_of(serving).damaged.add("v3")
    plan = Rollout(steps=[10, 100], bake="5m", checks=[ErrorRate()])
    with pytest.raises(ModelError, match="it is damaged"):
        serving.begin(plan, get(serving.ledger, NAME, "v3"), "task")
    assert records.find(serving.ledger, NAME, "v3") is None
    assert (champion(serving), place_of(serving).done) == (CANARY, [])
    serving.begin(plan, get(serving.ledger, NAME, "v4"), "another task")
    assert records.active(serving.ledger, NAME) is not None


@pytest.mark.slow
def test_a_version_that_is_damaged_after_its_rollout_began_is_taken_back(serving: ModelEndpoint) -> None:
    """The damage happens, for example, between the entry on the ledger and the start of its server."""
    place_of(serving).before = lambda what: place_of(serving).damaged.add(CHAMPION) if what == "begin" else None
    with pytest.raises(DeploymentError, match="it is damaged"):
        roll_back(serving, "ada")
    assert records.active(serving.ledger, NAME) is None
    assert champion(serving) == CANARY


def test_one_can_go_to_a_version_by_its_name(serving: ModelEndpoint) -> None:
    register(serving.ledger, "v0", champion=None)
    assert roll_back(serving, "ada", to="v0") == "v0"
    assert champion(serving) == "v0"


def test_a_running_rollout_ends_with_the_champion_it_began_with(serving: ModelEndpoint) -> None:
    register(serving.ledger, "v3", champion=None)
    plan = Rollout(steps=[10, 100], bake="5m", checks=[ErrorRate()])
    serving.begin(plan, get(serving.ledger, NAME, "v3"), "task")
    triggerer = serving.driver("v3")
    while serving.entry("v3").state.phase != "baking":
        triggerer.tick()
    assert place_of(serving).weights == {CANARY: 90, "v3": 10}
    assert roll_back(serving, "ada") == CANARY, "though the triggerer still holds it"
    assert place_of(serving).split() == TrafficSplit({CANARY: 100})
    assert serving.entry("v3").state.reason == "rolled back by ada"
    hold = holds.find(serving.ledger, NAME)
    assert hold
    assert (hold.version, hold.serves) == ("v3", CANARY)
    assert [one.model.version for one in versions(serving.ledger, NAME) if one.rolled_back] == ["v3"]
    assert champion(serving) == CANARY


def test_where_no_version_served_before_there_is_none_to_go_back_to(serving: ModelEndpoint, tmp_path: Path) -> None:
    serving = replace(serving, ledger=new_ledger(f"sqlite:///{tmp_path / 'other.db'}"))
    register(serving.ledger, CANARY, champion=CANARY)
    with pytest.raises(ModelError, match=r"no version served before this one\. .*rollback m --to VERSION"):
        roll_back(serving, "ada")
    with pytest.raises(ModelError, match="find model m@v9: no such version"):
        roll_back(serving, "ada", to="v9")


def test_a_version_that_does_not_start_leaves_what_serves(serving: ModelEndpoint) -> None:
    place_of(serving).ready_after = 10**6

    def fail(what: str) -> None:
        if what == "begin":
            place_of(serving).running[CHAMPION] = VersionProgress("failed", "the bundle is damaged")

    place_of(serving).after = fail
    with pytest.raises(DeploymentError, match="roll back m to v1: the version does not run: the bundle is damaged"):
        roll_back(serving, "ada")
    assert place_of(serving).split() == TrafficSplit({CANARY: 100})
    assert champion(serving) == CANARY
