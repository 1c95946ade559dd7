"""What nothing references is deleted, and nothing else ever is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sailplane.bundles.manifest import FILES, MANIFEST, RECORD
from sailplane.errors import ConfigurationError, LedgerError, StorageError
from sailplane.ledger import Ledger, tables
from sailplane.registry import trash
from sailplane.registry.garbage import GRACE_SECONDS, Collector, Garbage
from sailplane.registry.models import promote
from sailplane.registry.references import References
from tests.unit.bundles import tiny
from tests.unit.registry.states import DAYS, OLD, YOUNG, State


@pytest.fixture
def state(ledger: Ledger, tmp_path: Path) -> State:
    return State(ledger, tmp_path)


def collector(state: State, **how: Any) -> Collector:
    return Collector(state.ledger, state.storage, **how)


def test_versions_that_nobody_uses_go_with_all_that_only_they_need(state: State) -> None:
    needed = {}
    for number in range(5):
        data = state.dataset(f"v{number}", DAYS[number % 3 : number % 3 + 1])
        run, mine = state.run(f"m/{number}", f"v{number}", code=f"c{number}")
        needed[number] = data | mine | state.model(f"{number}", run, created=OLD - number)
    state.alias("champion", "0")
    state.deploy("1")
    found = collector(state, keep=1).find()
    assert found.versions == (("m", "2"), ("m", "3"))
    before = state.paths()
    assert collector(state, keep=1).collect() == found
    assert state.paths() == before - {entry.path for entry in found.objects}
    assert needed[0] | needed[1] | needed[4] <= state.paths()
    assert not {path for path in state.paths() if "/2/" in path or "/3/" in path or "c2" in path or "c3" in path}
    assert collector(state, keep=1).find() == Garbage((), ()), "nothing is left to do"


def test_versions_that_serve_on_a_cluster_stay_for_a_pod_may_start_again(state: State) -> None:
    for number in range(4):
        state.model(f"{number}", state.run(f"m/{number}", "v1")[0], created=OLD - number)
    state.deploy_on_cluster("0", "1")
    state.alias("champion", "0")
    assert collector(state, keep=1).find().versions == (("m", "2"),)


def test_all_versions_of_a_model_without_a_champion_stay_for_any_may_serve_elsewhere(state: State) -> None:
    for number in range(4):
        state.model(f"{number}", state.run(f"m/{number}", "v1")[0], created=OLD - number)
    state.alias("challenger", "3")
    assert collector(state, keep=1).find() == Garbage((), ())
    state.alias("champion", "0")
    assert collector(state, keep=1).find().versions == (("m", "1"), ("m", "2"))


def test_a_dry_run_says_the_sizes_and_deletes_nothing(state: State) -> None:
    state.put("code/orphan.zip", b"12345")
    before = state.paths()
    found = collector(state).find()
    assert ([entry.path for entry in found.objects], found.bytes) == (["code/orphan.zip"], 5)
    assert state.paths() == before


def test_what_is_young_stays_and_so_does_the_rest_of_its_run_and_the_dataset_of_that(state: State) -> None:
    data = state.dataset("v1", DAYS)
    _, mine = state.run("m/1", "v1")
    state.put("runs/m/1/history.json", age=YOUNG)
    collector(state).collect()
    assert data | {path for path in mine if path.startswith("runs/")} <= state.paths()


def test_code_is_spared_for_as_long_as_a_run_that_was_made_with_it_may_be_young(state: State) -> None:
    code = state.put("code/a.zip", age=GRACE_SECONDS + YOUNG)
    assert collector(state).find().objects == ()
    older = state.put("code/b.zip", age=GRACE_SECONDS + 90_000)
    assert [entry.path for entry in collector(state).find().objects] == [older]
    assert code in state.paths()


def test_trials_of_a_sweep_that_is_at_work_stay_and_those_of_one_that_is_over_go(state: State) -> None:
    checkpoints = {name: state.put(f"runs/{name}/trial-1/checkpoint.pt") for name in ("open", "busy", "late", "over")}
    runs = {name: state.run(f"{name}/trial-0-a", "v1")[0] for name in checkpoints}
    state.sweep("open", [runs["open"]])  # one of two trials
    state.sweep("busy", [runs["busy"], runs["busy"]], running=True)
    state.sweep("late", [runs["late"], runs["late"]], last=YOUNG)
    state.sweep("over", [runs["over"], runs["over"]])
    collector(state).collect()
    stays = {path.split("/")[1] for path in state.paths() if path.startswith("runs/")}
    assert stays == {"open", "busy", "late"}


def test_what_a_running_process_reads_and_writes_stays(state: State) -> None:
    data = state.dataset("v1", DAYS)
    record, _ = state.run("m/1", "v1")
    checkpoint = state.put("runs/m/now/checkpoints/1.pt")
    live = {"kind": "train", "run": "m/now", "dataset": record["dataset"], "sweep": None}
    collector(state, live=lambda: [live]).collect()
    assert data | {checkpoint} <= state.paths()
    collector(state).collect()
    assert state.paths() == set()


def test_what_a_running_process_scores_stays_and_so_does_the_model_that_it_scores_by(state: State) -> None:
    needed = state.dataset("v1", DAYS)
    record, _ = state.run("m/1", "v1")
    needed |= {"runs/m/1/bundle/manifest.json", "runs/m/1/bundle/model.onnx"}
    live = {"kind": "score", "bundle": record["bundle"], "digest": None, "dataset": record["dataset"]}
    collector(state, live=lambda: [live]).collect()
    assert needed <= state.paths()
    collector(state).collect()
    assert state.paths() == set()


def test_what_is_no_platforms_own_stays(state: State) -> None:
    others = {state.put(path) for path in ("algorithmia/a", "readme.txt", "datasets/d/notes.txt", "datasets/x")}
    collector(state).collect()
    assert state.paths() == others


def test_a_dataset_whose_manifest_cannot_be_read_stays_whole(state: State) -> None:
    data = state.dataset("v1", DAYS)
    state.put("datasets/d/versions/v2.json", b"half a man", age=YOUNG)
    collector(state).collect()
    assert data <= state.paths()


def test_versions_that_lie_in_another_store_stay_on_the_ledger(state: State) -> None:
    run, _ = state.run("m/1", "v1")
    elsewhere = {"name": "m", "version": "1", "uri": "s3://other/models/m/1", "run": "m/1", "lineage": run}
    state.insert(tables.models, name="m", version="1", record=elsewhere, created=0.0)
    state.model("2", run, created=OLD)
    assert collector(state, keep=1).find().versions == ()


@pytest.mark.parametrize("root", ["s3://bucket/deep", "file:///elsewhere"])
def test_a_record_names_what_it_names_wherever_the_store_was_then(root: str) -> None:
    held = References()
    held.add({"evaluation": {"details": f"{root}/runs/m/1/evaluation.json"}, "run": {"id": "m/2", "bundle": "x"}})
    assert held.hold("runs/m/1/evaluation.json")
    assert held.hold("runs/m/2/report.html")
    assert not held.hold("runs/m/3/report.html")
    assert not held.hold("runs/m/20/report.html")


def test_an_evaluation_holds_its_run(state: State) -> None:
    run = tiny.run_of(tiny.bundle(state.folder / "run"), state.storage)
    held = References()
    held.add(tiny.evaluation_of(replace(run, code="c")).to_dict())
    assert held.hold("runs/run-1/bundle/model.onnx")
    assert held.hold("code/c.zip")


def test_to_keep_no_version_is_refused(state: State) -> None:
    with pytest.raises(ConfigurationError, match="keep 0; expected 1"):
        collector(state, keep=0)


class Late(Collector):
    """What happens between the plan and the deletion."""

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


def marker(state: State, number: int, digest: str, *, age: float = OLD) -> set[str]:
    """The n-th marker of a day, and the rows that it names."""
    place = f"datasets/d/partitions/{DAYS[0]}"
    name = "a" if number == 1 else f"a_{number:06}"
    content = json.dumps({"day": DAYS[0], "digest": digest, "rows": 1, "quarantined": 0}).encode()
    return {state.put(f"{place}/{name}.json", content, age=age), state.put(f"{place}/{digest}.parquet", age=age)}


def test_an_old_version_of_a_day_stays_for_the_model_that_was_trained_on_it_and_the_newest_with_it(
    state: State,
) -> None:
    """Without the newest marker the old one would count, and its outdated rows with it."""
    data = state.dataset("a1", DAYS[:1])
    run, mine = state.run("m/1", "a1")
    needed = data | mine | state.model("1", run)
    forgotten, newest = marker(state, 2, "b" * 64), marker(state, 3, "c" * 64)
    state.alias("champion", "1")
    collector(state).collect()
    assert needed | newest <= state.paths()
    assert not forgotten & state.paths()


def test_versions_of_a_day_that_nobody_needs_go_the_older_marker_first(state: State) -> None:
    every = [*(marker(state, 1, "b" * 64)), *marker(state, 2, "c" * 64), *marker(state, 11, "d" * 64)]
    deleted: list[str] = []
    delete = state.storage.delete

    def remember(path: str) -> None:
        deleted.append(path)
        delete(path)

    state.storage.delete = remember  # type: ignore[method-assign]
    collector(state).collect()
    assert sorted(deleted) == sorted(every)
    assert [path.rpartition("/")[2] for path in deleted[:3]] == ["a.json", "a_000002.json", "a_000011.json"]


def test_a_version_of_a_day_that_is_young_keeps_the_others(state: State) -> None:
    old, young = marker(state, 1, "b" * 64), marker(state, 2, "c" * 64, age=YOUNG)
    collector(state).collect()
    assert old | young == state.paths()


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


def test_a_store_with_models_that_the_ledger_does_not_know_is_left_alone(state: State) -> None:
    """A typo named an empty ledger, for which the whole store was garbage."""
    for number in range(2):
        state.model(f"{number}", state.run(f"m/{number}", "v1")[0])
    state.alias("champion", "1")
    state.clear()
    before = state.paths()
    for act in (collector(state).find, collector(state).collect):
        with pytest.raises(LedgerError, match=r"models that this ledger does not know: m 0, m 1.*ledger rebuild"):
            act()
    assert state.paths() == before


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


def test_rows_that_only_a_damaged_marker_names_stay(state: State) -> None:
    """The rows are there once the marker is restored."""
    old, newest = marker(state, 1, "b" * 64), marker(state, 2, "c" * 64)
    state.put(next(path for path in newest if path.endswith(".json")), b"{", age=OLD)
    collector(state).collect()
    assert old | newest == state.paths()
