"""Garbage collection moves garbage to the trash. An object that something references meanwhile stays, and a kill loses
nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from sailplane.bundles.manifest import FILES, MANIFEST, RECORD
from sailplane.errors import StorageError
from sailplane.registry import trash
from sailplane.registry.garbage import Collector, Garbage
from sailplane.registry.models import promote
from tests.unit.registry.states import DAYS, OLD, YOUNG, State, collector


class Late(Collector):
    """Calls `meanwhile` between the plan and the deletion."""

    meanwhile: Callable[[], None]

    def find(self) -> Garbage:
        found = super().find()
        self.meanwhile()
        return found


def collect_while(state: State, meanwhile: Callable[[], None]) -> Garbage:
    late = Late(state.ledger, state.storage, keep=1)
    late.meanwhile = meanwhile
    return late.collect()


def test_a_version_that_is_promoted_meanwhile_stays_with_all_that_it_needs(state: State) -> None:
    data = state.dataset("v1", DAYS)
    run, mine = state.run("m/1", "v1")
    needed = data | mine | state.model("1", run, created=OLD)
    state.model("2", run, created=OLD - 1)

    def deploy() -> None:
        promote(state.ledger, "m", "1")
        state.deploy("1")

    assert collect_while(state, deploy).versions == ()
    assert needed <= state.paths()


def test_a_run_that_is_registered_meanwhile_stays(state: State) -> None:
    data = state.dataset("v1", DAYS)
    run, mine = state.run("m/1", "v1")

    def register() -> None:
        state.needed |= state.model("1", run, created=YOUNG)

    collect_while(state, register)
    assert data | mine | state.needed <= state.paths()


def test_a_version_of_a_dataset_that_is_published_meanwhile_stays_with_its_partitions(state: State) -> None:
    data = state.dataset("v1", DAYS)
    (manifest,) = [path for path in data if "/versions/" in path]
    collect_while(state, lambda: state.storage.keep(manifest, state.storage.get(manifest)))
    assert data <= state.paths()


def test_a_run_that_is_judged_meanwhile_stays_from_the_moment_that_its_report_lies_there(state: State) -> None:
    _, mine = state.run("m/1", "v1")
    collect_while(state, lambda: state.needed.add(state.put("runs/m/1/evaluation.json", age=YOUNG)))
    assert {path for path in mine if path.startswith("runs/")} <= state.paths()


def test_an_object_that_is_put_again_meanwhile_stays(state: State) -> None:
    code = state.put("code/a.zip")
    collect_while(state, lambda: state.storage.keep(code, b"x"))
    assert state.paths() == {code}


def test_what_is_collected_lies_in_the_trash_for_a_week_and_can_be_put_back(state: State) -> None:
    path = state.put("code/orphan.zip", b"12345")
    collector(state).collect()
    assert path not in state.paths()
    [day] = state.storage.folder("trash").folders
    place, at = f"trash/{day}/{path}", datetime.fromisoformat(f"{day}T12:00Z")
    assert state.storage.get(place) == b"12345"
    assert trash.expired(state.storage, (at + timedelta(days=6)).timestamp()) == []
    assert [entry.path for entry in trash.expired(state.storage, (at + timedelta(days=7)).timestamp())] == [place]
    assert trash.restore(state.storage, "code") == [path]
    assert state.storage.get(path) == b"12345"
    assert trash.restore(state.storage, "code") == [], "nothing is written over"


@pytest.mark.parametrize(("prefix", "count"), [*(("models", count) for count in range(6)), ("datasets", 1)])
def test_a_restore_that_is_killed_leaves_nothing_that_names_what_is_missing(
    state: State, monkeypatch: pytest.MonkeyPatch, prefix: str, count: int
) -> None:
    """A bundle without its graph, or a day whose marker names no rows, would be half-written."""
    bundle = [*FILES, MANIFEST, RECORD]
    paths = [
        *(f"models/m/v1/{name}" for name in bundle),
        *(f"datasets/d/days/{name}" for name in ("a.json", "b.parquet")),
    ]
    for path in paths:
        state.put(f"trash/2026-01-01/{path}")
    put_new, storage = state.storage.put_new, state.storage

    def killed(path: str, content: Any) -> bool:
        if len({*storage.list("models"), *storage.list("datasets")}) == count:
            raise KeyboardInterrupt
        return put_new(path, content)

    monkeypatch.setattr(type(storage), "put_new", lambda _self, path, content: killed(path, content))
    with pytest.raises(KeyboardInterrupt):
        trash.restore(storage, prefix)
    there = {path.rpartition("/")[2] for path in (*storage.list("models"), *storage.list("datasets"))}
    assert MANIFEST not in there or set(FILES) <= there
    assert RECORD not in there or MANIFEST in there
    assert "a.json" not in there or "b.parquet" in there


def test_what_was_a_week_in_the_trash_is_deleted_by_a_later_run(state: State) -> None:
    old = state.put("trash/2026-01-01/code/orphan.zip")
    found = collector(state).find()
    assert ([entry.path for entry in found.expired], found.objects) == ([old], ())
    assert collector(state).collect() == found
    assert not state.storage.exists(old)


def test_killed_after_it_forgot_a_version_it_goes_on_when_it_runs_again(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        state.model(f"{number}", state.run(f"m/{number}", "v1")[0], created=OLD - number)
    state.alias("champion", "1")

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Collector, "_delete", killed)
        with pytest.raises(KeyboardInterrupt):
            collector(state, keep=1).collect()
    assert any(path.startswith("models/m/0/") for path in state.paths())
    collector(state, keep=1).collect()
    assert not any(path.startswith("models/m/0/") for path in state.paths())
    assert trash.marked(state.storage) == set()


def test_a_copy_that_differs_deletes_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    path = state.put("code/orphan.zip", b"12345")
    monkeypatch.setattr(type(state.storage), "checksum", lambda *_: "another")
    with pytest.raises(StorageError, match="the copy differs"):
        collector(state).collect()
    assert path in state.paths()
