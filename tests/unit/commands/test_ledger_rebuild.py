"""`sailplane ledger rebuild`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from sailplane import pairing
from sailplane.bundles.manifest import RECORD
from sailplane.cli import main
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.local.endpoint import endpoint
from sailplane.deployment.rollout import records, repository
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.state import Phase, Subject
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import LedgerError
from sailplane.evaluation import history
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.ledger.tables import metadata, rollouts
from sailplane.registry.garbage import Collector
from sailplane.registry.models import alias, promote, versions
from sailplane.services import installation
from sailplane.services.backups import ledger_file
from sailplane.services.rebuilding import rebuild
from sailplane.services.served import all_served
from sailplane.storage import Storage
from tests.postgres import postgresql
from tests.unit.commands.lost_ledgers import FAULTS, everything, spoil


@pytest.mark.slow
@pytest.mark.parametrize("how", FAULTS)
def test_a_lost_ledger_is_rebuilt_from_the_store_and_the_router(made: Home, how: str) -> None:
    before = everything(made)
    spoil(made, how)
    found = rebuild(made)
    assert (len(found.models), found.evaluations, len(found.champions), found.unreadable) == (2, 1, 1, ())
    assert everything(made) == before
    assert rebuild(made).models == (), "nothing is added twice"
    assert Collector(*pairing.opened(made)).find().versions == ()


@pytest.mark.parametrize("phase", ["baking", "promoting"])
def test_a_rollout_continues_only_if_it_can_also_go_back(made: Home, phase: Phase) -> None:
    """The ledger is from the middle of a rollout whose champion has been stopped since."""
    ledger, _ = pairing.opened(made)
    new, old = (found.model for found in sorted(versions(ledger, "flights"), key=lambda each: not each.aliases))
    promote(ledger, old.name, old.version)
    subject = Subject(
        name=new.name, version=new.version, champion=old.version, endpoint=endpoint(made, new.name), owner="ada"
    )
    entry = repository.begin(ledger, subject, Rollout())
    with ledger.begin() as connection:
        state = entry.state.entering(phase).to_dict()
        connection.execute(sa.update(rollouts).values(phase=phase, state=state))
    rebuild(made)
    # A promotion's driver only has to record it.
    promoting = phase == "promoting"
    assert (records.active(ledger, new.name) is not None) == promoting
    assert alias(ledger, new.name, "champion") == (old if promoting else new)


@pytest.mark.parametrize("content", [b"[]", b'{"record": [], "created": 1}', b'{"record": {"u', b"\xff"])
def test_a_rebuild_leaves_out_damaged_records_and_names_them(made: Home, content: bytes) -> None:
    storage = Storage(made.store)
    records = [path for path in storage.list("models") if path.endswith(RECORD)]
    storage.put(records[0], content)
    judged = next(path for path in storage.list("runs") if f"/{history.JUDGED}" in path)
    storage.put(judged, content)
    spoil(made, "deleted")
    found = rebuild(made)
    assert (len(found.models), found.evaluations) == (1, 0)
    assert found.unreadable == (records[0].rpartition("/")[0], judged)


@pytest.mark.slow
@pytest.mark.needs("postgresql")
def test_a_ledger_is_rebuilt_on_postgresql(made: Home) -> None:
    before = everything(made)
    with postgresql() as server:
        elsewhere = replace(made, ledger=server.database())
        lost = installation.lost(elsewhere)
        assert lost
        assert lost.reason == "missing"
        found = rebuild(elsewhere)
        assert (len(found.models), found.evaluations, len(found.champions), found.unreadable) == (2, 1, 1, ())
        assert everything(elsewhere) == before
        assert installation.lost(elsewhere) is None
        assert rebuild(elsewhere).models == (), "nothing is added twice"


@pytest.mark.slow
def test_a_rebuild_names_every_table_that_it_cannot_bring_back(
    made: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`models`, `aliases`, `deployments` and `evaluations` are restored, and `identity` is made."""
    words = {
        "sweeps": "sweeps",
        "trials": "trials",
        "reports": "trials",
        "stops": "sweeps",
        "wandb_sweeps": "sweeps",
        "sweep_jobs": "sweeps",
        "shares": "tokens",
        "cluster_deployments": "clusters",
        "rollouts": "rollouts",
        "rollout_decisions": "rollouts",
        "holds": "holds",
        "rolled_back": "rolled-back",
        "served": "`previous`",
        "pins": "code",
        "api_keys": "keys",
        "insights": "reports of algorithms",
    }
    assert {*words, "models", "aliases", "deployments", "evaluations", "identity"} == set(metadata.tables)
    monkeypatch.setenv("SAILPLANE_HOME", str(made.root))
    monkeypatch.setenv("SAILPLANE_PROJECT", str(made.project))
    assert main(["ledger", "rebuild"]) == 0
    told = capsys.readouterr().out.partition("Not restored")[2]
    assert {word for word in words.values() if word not in told} == set()


@pytest.mark.slow
def test_an_empty_ledger_gets_what_it_lacks_and_until_then_no_garbage_is_collected(made: Home) -> None:
    before = everything(made)
    spoil(made, "deleted")
    assert installation.create(made).id == store_id(made)
    with pytest.raises(LedgerError, match="ledger rebuild"):
        Collector(*pairing.opened(made)).find()
    rebuild(made)
    assert everything(made) == before


def test_what_serves_elsewhere_is_not_known_after_a_rebuild_and_that_is_said(
    made: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model serves on another machine, so the router of this one does not serve it."""
    [name] = Router(made).weights()
    Router(made).split(name, TrafficSplit({}))
    spoil(made, "deleted")
    monkeypatch.setenv("SAILPLANE_HOME", str(made.root))
    monkeypatch.setenv("SAILPLANE_PROJECT", str(made.project))
    assert main(["ledger", "rebuild"]) == 0
    assert f"{name} has no champion, because the store does not record which version serves." in capsys.readouterr().out
    assert Collector(*pairing.opened(made), keep=1, grace_seconds=-1).find().versions == ()


def test_an_empty_ledger_that_was_asked_for_hides_nothing_that_serves(
    made: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = all_served(made)
    spoil(made, "deleted")
    monkeypatch.setenv("SAILPLANE_HOME", str(made.root))
    monkeypatch.setenv("SAILPLANE_PROJECT", str(made.project))
    assert main(["ledger", "init"]) == 1
    assert "no terminal. Pass --yes." in capsys.readouterr().err
    assert not ledger_file(made).exists()
    assert main(["ledger", "init", "--yes"]) == 0
    assert all_served(made) == before != []


def store_id(home: Home) -> str | None:
    return pairing.store_id(Storage(home.store))


def test_a_version_of_an_earlier_release_gets_its_record_at_the_next_up(made: Home) -> None:
    before, storage = everything(made), Storage(made.store)
    for path in [path for path in storage.list("models") if path.endswith(RECORD)]:
        storage.delete(path)
    installation.pair(made)
    spoil(made, "deleted")
    rebuild(made)
    assert everything(made) == before


@pytest.mark.slow
def test_another_stores_ledger_gets_no_models_of_this_one(made: Home) -> None:
    foreign = replace(made, ledger=f"sqlite:///{made.root / 'foreign.db'}")
    ledger = Ledger.create(foreign.ledger)
    with pytest.raises(LedgerError, match="belong together"):
        rebuild(foreign)
    assert versions(ledger) == []
    pairing.opened(made)
