from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sailplane.errors import HeldError, ModelError
from sailplane.ledger import Ledger
from sailplane.records import Approval, Evaluation
from sailplane.registry import aliases, holds
from sailplane.registry.holds import Hold
from sailplane.registry.models import alias, promote, versions
from tests.homes import new_ledger
from tests.unit.deployment.rollout.simulated_target import NAME, register


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = new_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    register(ledger, "v1", "v2", "v3", champion=None)
    return ledger


def hold(ledger: Ledger) -> Hold:
    taken = Hold(NAME, time.time(), "ada@host", version="v2", serves="v1")
    with ledger.begin() as connection:
        holds.hold_within(connection, taken)
    return taken


def mark(ledger: Ledger, version: str) -> None:
    with ledger.begin() as connection:
        aliases.mark(connection, NAME, version, "ada", time.time())


def previous(ledger: Ledger) -> str | None:
    found = alias(ledger, NAME, "previous")
    return found.version if found else None


def test_a_hold_says_since_when_who_took_it_why_and_how_it_is_lifted() -> None:
    taken = Hold("m", 1_764_000_000.0, "ada@host", version="v2", serves="v1")
    assert taken.message == (
        "Automatic deployments of m have been on hold since 2025-11-24 16:00 UTC, when ada@host rolled back v2 to v1. "
        "`sailplane release m`, or the approval of a model, lifts the hold."
    )


def test_a_hold_that_took_nothing_out_of_service_names_no_version_as_rolled_back() -> None:
    assert str(Hold("m", 0.0, "ada", version="v1", serves="v1")).endswith("when ada rolled back to v1")


def test_a_release_lifts_the_hold_once(ledger: Ledger) -> None:
    taken = hold(ledger)
    assert holds.release(ledger, NAME) == taken
    assert holds.all_holds(ledger) == []
    with pytest.raises(ModelError, match=r"release m: its deployments are not held\. `sailplane status` lists"):
        holds.release(ledger, NAME)
    with pytest.raises(ModelError, match=r"release other: no such model\. `sailplane models list`"):
        holds.release(ledger, "other")


def test_only_a_persons_approval_that_is_newer_lifts_it(ledger: Ledger) -> None:
    taken = hold(ledger)
    later = datetime.fromtimestamp(taken.since, UTC) + timedelta(seconds=1)
    approval = Approval(approved=True, by="ada", note="", at=later)
    assert taken.lifted_by(approval)
    assert not taken.lifted_by(None)
    assert not taken.lifted_by(Approval(approved=False, by="ada", note="", at=later))
    assert not taken.lifted_by(Approval(approved=True, by="the deadline", note="", at=later, by_person=False))
    assert not taken.lifted_by(Approval(approved=True, by="ada", note="", at=later - timedelta(hours=1)))


def test_a_deployment_of_the_champion_itself_is_allowed_and_lifts_nothing(ledger: Ledger) -> None:
    promote(ledger, NAME, "v1")
    hold(ledger)
    holds.check(ledger, NAME, "v1")
    with pytest.raises(HeldError):
        holds.check(ledger, NAME, "v3")
    with ledger.begin() as connection:
        holds.pass_within(connection, NAME, "v1", None)
    assert holds.find(ledger, NAME) is not None


def test_an_answer_of_an_earlier_release_is_a_persons() -> None:
    told = {"approved": True, "by": "ada", "note": "", "at": "2026-11-24T00:00:00+00:00"}
    assert Approval.from_dict(told).by_person
    assert "by_person" not in Approval.from_dict(told).to_dict(), "records from before keep their digests"
    assert Evaluation.__dataclass_fields__["held"].metadata == {"sparse": True}


def test_previous_is_the_version_that_served_last_and_was_not_rolled_back(ledger: Ledger) -> None:
    for version in ("v1", "v2", "v1", "v3"):
        promote(ledger, NAME, version)
    assert previous(ledger) == "v1"
    mark(ledger, "v1")
    assert previous(ledger) == "v2"
    promote(ledger, NAME, "v2")
    assert previous(ledger) == "v3"
    mark(ledger, "v3")
    assert previous(ledger) is None
    with ledger.begin() as connection:
        assert aliases.unmark(connection, NAME, "v1")
        assert not aliases.unmark(connection, NAME, "v1")
    assert previous(ledger) == "v1"


def test_what_was_rolled_back_is_no_challenger_again(ledger: Ledger) -> None:
    promote(ledger, NAME, "v1")
    with ledger.begin() as connection:
        aliases.challenge(connection, NAME, "v2")
    assert alias(ledger, NAME, "challenger")
    mark(ledger, "v2")
    assert alias(ledger, NAME, "challenger") is None
    with ledger.begin() as connection:
        aliases.challenge(connection, NAME, "v2")
    assert alias(ledger, NAME, "challenger") is None
    assert [one.model.version for one in versions(ledger, NAME) if one.rolled_back] == ["v2"]
