from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sailplane.errors import DeploymentError, ModelError
from sailplane.ledger import Ledger
from sailplane.registry.models import alias, get, promote
from sailplane.serving.rollout import entries
from sailplane.serving.rollout.back import roll_back
from sailplane.serving.rollout.declared import ErrorRate
from sailplane.serving.rollout.plan import Rollout
from sailplane.serving.rollout.run import Serving
from sailplane.serving.target import Progress, Split
from tests.unit.serving.rollout.place import CANARY, CHAMPION, NAME, Clock, Place, register, serving_at


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """`v2` serves, and `v1` did before."""
    ledger, place = Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}"), Place()
    register(ledger, CHAMPION, CANARY)
    promote(ledger, NAME, CANARY)
    place.running, place.weights = {CANARY: Progress("ready")}, {CANARY: 100}
    return serving_at(place, ledger, Clock(step=0.1))


def place_of(serving: Serving) -> Place:
    assert isinstance(serving.target, Place)
    return serving.target


def champion(serving: Serving) -> str:
    model = alias(serving.ledger, NAME, "champion")
    assert model
    return model.version


def test_the_version_before_serves_again_and_who_asked_for_it_is_recorded(serving: Serving) -> None:
    assert roll_back(serving, "ada@host") == CHAMPION
    assert place_of(serving).split() == Split({CHAMPION: 100})
    assert champion(serving) == CHAMPION
    first, *_ = entries.decisions(serving.ledger, NAME, CHAMPION)
    assert (first.by, first.after) == ("ada@host", "starting")
    assert serving.entry(CHAMPION).lease_until == 0
    assert place_of(serving).done == [f"begin {CHAMPION}", "move 0", f"stop {CANARY}"]


def test_to_go_back_twice_is_to_go_forward(serving: Serving) -> None:
    assert [roll_back(serving, "ada") for _ in range(4)] == [CHAMPION, CANARY, CHAMPION, CANARY]
    assert champion(serving) == CANARY
    assert serving.entry(CHAMPION).attempt == 2


def test_a_damaged_version_begins_nothing_and_is_in_nobodys_way(serving: Serving) -> None:
    place_of(serving).damaged.add(CHAMPION)
    with pytest.raises(ModelError, match="it is damaged"):
        roll_back(serving, "ada")
    assert entries.active(serving.ledger, NAME) is None
    assert (champion(serving), place_of(serving).done) == (CANARY, [])
    place_of(serving).damaged.clear()
    assert roll_back(serving, "ada") == CHAMPION


def test_a_version_that_is_damaged_after_its_rollout_began_is_taken_back(serving: Serving) -> None:
    """Between the ledger and the start of its server, say."""
    place_of(serving).before = lambda what: place_of(serving).damaged.add(CHAMPION) if what == "begin" else None
    with pytest.raises(DeploymentError, match="it is damaged"):
        roll_back(serving, "ada")
    assert entries.active(serving.ledger, NAME) is None
    assert champion(serving) == CANARY


def test_one_can_go_to_a_version_by_its_name(serving: Serving) -> None:
    register(serving.ledger, "v0", champion=None)
    assert roll_back(serving, "ada", to="v0") == "v0"
    assert champion(serving) == "v0"


def test_a_rollout_that_is_on_its_way_ends_with_the_champion_it_began_with(serving: Serving) -> None:
    register(serving.ledger, "v3", champion=None)
    plan = Rollout(steps=[10, 100], bake="5m", checks=[ErrorRate()])
    serving.begin(plan, get(serving.ledger, NAME, "v3"), "task")
    triggerer = serving.driver("v3")
    while serving.entry("v3").state.phase != "baking":
        triggerer.tick()
    assert place_of(serving).weights == {CANARY: 90, "v3": 10}
    assert roll_back(serving, "ada") == CANARY, "though the triggerer still holds it"
    assert place_of(serving).split() == Split({CANARY: 100})
    assert serving.entry("v3").state.reason == "rolled back by ada"
    assert champion(serving) == CANARY


def test_where_no_version_served_before_there_is_none_to_go_back_to(serving: Serving, tmp_path: Path) -> None:
    serving = replace(serving, ledger=Ledger.create(f"sqlite:///{tmp_path / 'other.db'}"))
    register(serving.ledger, CANARY, champion=CANARY)
    with pytest.raises(ModelError, match=r"no version served before this one\. .*rollback m --to VERSION"):
        roll_back(serving, "ada")
    with pytest.raises(ModelError, match="find model m@v9: no such version"):
        roll_back(serving, "ada", to="v9")


def test_a_version_that_does_not_start_leaves_what_serves(serving: Serving) -> None:
    place_of(serving).ready_after = 10**6

    def fail(what: str) -> None:
        if what == "begin":
            place_of(serving).running[CHAMPION] = Progress("failed", "the bundle is damaged")

    place_of(serving).after = fail
    with pytest.raises(DeploymentError, match="roll back m to v1: the version does not run: the bundle is damaged"):
        roll_back(serving, "ada")
    assert place_of(serving).split() == Split({CANARY: 100})
    assert champion(serving) == CANARY
