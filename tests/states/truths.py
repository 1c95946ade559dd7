"""Invariants that hold after each step."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sailplane import pairing
from sailplane.bundles.bundle import Bundle
from sailplane.commands import status
from sailplane.datasets import load
from sailplane.deployment.envoy.router import Router
from sailplane.deployment.http_client import Reply
from sailplane.records import Dataset
from sailplane.registry import holds, trash
from sailplane.registry.models import alias, fetch, versions
from sailplane.services.served import served
from tests.states import deeds
from tests.states.deeds import NAME
from tests.states.world import World

# A killed process or a full disk may leave this many drafts. Nobody reads them, and a few do no harm.
MOST_DRAFTS = 40


def check(world: World) -> None:
    check_served(world)
    check_hold(world)
    check_references(world)
    check_content(world)
    check_pair(world)
    check_drafts(world)


def check_served(world: World) -> None:
    """The champion reproduces the scores of its golden rows, and the platform reports it correctly."""
    said = served(world.home, NAME)
    if said is None:
        assert world.champion is None, f"{world.champion} serves, and nothing is said of it"
        return
    reply = world.answer()
    check_scores(world, reply)
    assert said.weights.get(str(reply.version)), f"{reply.version} answers, {dict(said.weights)} is said to"
    if world.settled and not world.rolling_out:
        assert said.weights == {world.champion: 100} == Router(world.home).weights()[NAME]
        named = alias(world.ledger, NAME, "champion")
        assert named is not None
        assert named.version == world.champion


def check_hold(world: World) -> None:
    """Only people lift a hold or change the served version during it, and `sailplane status` lists it. A version that
    was rolled back is never chosen automatically."""
    assert holds.find(world.ledger, NAME) == world.hold
    listed = [(one["model"], one["version"], one["by"]) for one in status.holds(world.ledger)]
    assert listed == ([(NAME, world.hold.version, world.hold.by)] if world.hold else [])
    if world.hold and world.settled and not world.rolling_out:
        assert world.champion == world.held_champion, "the champion of a held model changed by itself"
    bad = {one.model.version for one in versions(world.ledger, NAME) if one.rolled_back}
    for name in ("previous", "challenger"):
        named = alias(world.ledger, NAME, name)
        assert named is None or named.version not in bad


def check_served_without_ledger(world: World) -> None:
    """Without the ledger, the router keeps serving, and the platform knows only the router's state."""
    said = served(world.home, NAME)
    if said is None:
        assert world.champion is None
        return
    reply = world.answer()
    check_scores(world, reply)
    assert said.weights.get(str(reply.version))


def check_scores(world: World, reply: Reply) -> None:
    assert reply.status == 200, reply
    assert reply.version in world.golden
    for got, expected in zip(reply.json()["data"]["ndarray"], world.golden[reply.version][1], strict=True):
        assert abs(got[0] - expected[0]) < 1e-6


def check_rows(world: World, dataset: Dataset) -> None:
    """A dataset has the rows that its source has now, however often the source was corrected."""
    days = range(world.today - deeds.WINDOW_DAYS, world.today)
    expected = [row for day in days for row in deeds.rows_of(deeds.day_of(day), world.values[day])["distance"]]
    assert load(world.storage, dataset)["distance"].tolist() == expected


def check_references(world: World) -> None:
    """Every object that the ledger names exists and is undamaged."""
    found = _signatures(world)
    for version in versions(world.ledger, NAME):
        if not world.has_changed(f"reference {version.model.version}", found, version.model.version, "datasets"):
            continue
        model, dataset = version.model, version.model.lineage.dataset if version.model.lineage else None
        if world.is_spoiled(f"models/{model.name}/{model.version}") or dataset is None or world.is_spoiled("datasets"):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            fetch(world.storage, model, Path(scratch) / "bundle").check()
        load(world.storage, dataset)


def check_content(world: World) -> None:
    """No reader sees a half-written object: each bundle with a manifest is complete."""
    found = _signatures(world)
    for prefix, path in ((path.rpartition("/")[0], path) for path in world.storage.list("models")):
        whole = path.endswith("/manifest.json") and not world.is_spoiled(prefix)
        if whole and world.has_changed(f"content {prefix}", found, prefix.rpartition("/")[2]):
            with tempfile.TemporaryDirectory() as scratch:
                world.storage.download(prefix, Path(scratch) / "bundle")
                Bundle.open(Path(scratch) / "bundle")


def _signatures(world: World) -> dict[str, frozenset[object]]:
    """Returns signatures by model version and for all datasets. They change when the objects change."""
    found: dict[str, set[object]] = {"datasets": set()}
    for entry in (*world.storage.entries("models"), *world.storage.entries("datasets")):
        parts = entry.path.split("/")
        name = parts[2] if parts[0] == "models" else "datasets"
        found.setdefault(name, set()).add((entry.path, entry.size, entry.modified))
    return {name: frozenset(signature) for name, signature in found.items()}


def check_pair(world: World) -> None:
    """The ledger and the store have the same id, and the ledger lacks everything that is marked as forgotten."""
    if world.is_spoiled("sailplane.json"):
        return
    assert pairing.store_id(world.storage) == world.ledger.id
    forgotten = trash.marked(world.storage)
    used = {(NAME, one) for one in (world.champion, *Router(world.home).weights().get(NAME, {}))}
    assert not forgotten & used, f"{forgotten & used} serves, and is marked as garbage"


def check_drafts(world: World) -> None:
    listed = world.storage.list()
    assert not [path for path in listed if "#" in path], "a draft of the store is listed as an object"
    drafts = [path for path in world.home.root.rglob(".*") if path.is_file()]
    assert len(drafts) < MOST_DRAFTS, drafts
