"""Garbage collection finds all objects that nothing references, and no others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sailplane.errors import ConfigurationError, LedgerError
from sailplane.ledger import tables
from sailplane.registry.garbage import GRACE_SECONDS, Garbage
from sailplane.registry.references import References
from tests.unit.bundles import tiny
from tests.unit.registry.states import DAYS, OLD, YOUNG, State, collector


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
    state.sweep("open", [runs["open"]])  # One of two trials.
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


def marker(state: State, number: int, digest: str, *, age: float = OLD) -> set[str]:
    """Stores the marker with this number, and the rows that it names. Returns both paths."""
    place = f"datasets/d/partitions/{DAYS[0]}"
    name = "a" if number == 1 else f"a_{number:06}"
    content = json.dumps({"day": DAYS[0], "digest": digest, "rows": 1, "quarantined": 0}).encode()
    return {state.put(f"{place}/{name}.json", content, age=age), state.put(f"{place}/{digest}.parquet", age=age)}


def test_an_old_version_of_a_day_stays_for_the_model_that_was_trained_on_it_and_the_newest_with_it(
    state: State,
) -> None:
    """Without the newest marker, the old marker and its outdated rows would count."""
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


def test_a_store_with_models_that_the_ledger_does_not_know_is_left_alone(state: State) -> None:
    """After a typo in its name the ledger is empty, and the whole store would be garbage."""
    for number in range(2):
        state.model(f"{number}", state.run(f"m/{number}", "v1")[0])
    state.alias("champion", "1")
    state.clear()
    before = state.paths()
    for act in (collector(state).find, collector(state).collect):
        with pytest.raises(LedgerError, match=r"models that this ledger does not know: m 0, m 1.*ledger rebuild"):
            act()
    assert state.paths() == before


def test_rows_that_only_a_damaged_marker_names_stay(state: State) -> None:
    """The rows are available again once the marker is restored."""
    old, newest = marker(state, 1, "b" * 64), marker(state, 2, "c" * 64)
    state.put(next(path for path in newest if path.endswith(".json")), b"{", age=OLD)
    collector(state).collect()
    assert old | newest == state.paths()
