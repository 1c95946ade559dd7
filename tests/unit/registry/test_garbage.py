"""What nothing references is deleted, and nothing else ever is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger, tables
from sailplane.registry.garbage import GRACE_SECONDS, Collector, Garbage
from sailplane.registry.models import promote
from sailplane.registry.references import References
from tests.unit.registry import tiny
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
    assert collector(state, keep=1).find().versions == (("m", "2"),)


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
