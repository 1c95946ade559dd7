"""Random states of ledger and store: no referenced object is ever lost."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sailplane.ledger import Ledger
from sailplane.registry.garbage import Collector
from tests.unit.registry.states import DAYS, OLD, YOUNG, State


@dataclass(frozen=True)
class Drawn:
    """A random run and its references. Runs may share `dataset` and `code`."""

    age: float
    dataset: int
    code: int
    registered: bool
    aliased: bool
    deployed: bool
    tried: bool
    live: bool


AGES = st.sampled_from([OLD, YOUNG])
MANIFESTS = st.tuples(AGES, st.sets(st.sampled_from(DAYS), min_size=1))
RARELY = st.sampled_from([True, False, False])
RUNS = st.builds(Drawn, AGES, st.integers(0, 2), st.integers(0, 1), st.booleans(), *[RARELY] * 4)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    datasets=st.lists(MANIFESTS, min_size=3, max_size=3),
    drawn=st.lists(RUNS, min_size=2, max_size=6),
    at_work=st.booleans(),
    keep=st.integers(1, 3),
)
def test_no_state_loses_what_is_referenced(
    ledger: Ledger, tmp_path: Path, datasets: list[tuple[float, set[str]]], drawn: list[Drawn], at_work: bool, keep: int
) -> None:
    state = State(ledger, Path(tempfile.mkdtemp(dir=tmp_path)))
    state.clear()
    junk = {state.put("code/junk.zip"), state.put("runs/junk/bundle/model.onnx"), state.put("models/m/junk/a")}
    versions = [f"{'ab'[n % 2]}{n}" for n in range(3)]
    data = [state.dataset(versions[n], sorted(days), age=age) for n, (age, days) in enumerate(datasets)]
    made = [state.run(f"m/{n}", versions[d.dataset], age=d.age, code=f"c{d.code}") for n, d in enumerate(drawn)]
    needs = [mine | data[d.dataset] for (_, mine), d in zip(made, drawn, strict=True)]
    for n, one in enumerate(drawn):
        state.needed |= data[one.dataset] if one.age == YOUNG else set()
        # A running process has no run yet: it needs its dataset and its folder.
        state.needed |= data[one.dataset] | {path for path in made[n][1] if "runs/" in path} if one.live else set()
    tried = [n for n, one in enumerate(drawn) if one.tried][:2]
    state.sweep("s", [made[n][0] for n in tried], last=YOUNG if at_work else OLD)
    state.needed |= {path for n in tried if at_work for path in needs[n]}
    _register(state, drawn, made, needs, keep)
    live = [{"run": r["id"], "dataset": r["dataset"]} for (r, _), one in zip(made, drawn, strict=True) if one.live]

    before = state.paths()
    planned = Collector(ledger, state.storage, keep=keep, live=lambda: live).find()
    assert state.paths() == before
    assert Collector(ledger, state.storage, keep=keep, live=lambda: live).collect() == planned
    assert state.paths() == before - {entry.path for entry in planned.objects}
    assert state.needed <= state.paths()
    assert not junk & state.paths()


def _register(
    state: State, drawn: list[Drawn], made: list[tuple[dict[str, Any], set[str]]], needs: list[set[str]], keep: int
) -> None:
    """Registers the version. Higher numbers are newer versions."""
    versions = [n for n, one in enumerate(drawn) if one.registered]
    copies = {n: state.model(str(n), made[n][0], created=OLD - n) for n in versions}
    aliased = [n for n in versions if drawn[n].aliased]
    for n in aliased:
        state.alias(f"a{n}", str(n))
    if serving := [n for n in versions if drawn[n].deployed]:
        state.deploy(*map(str, serving))
    for n in {*versions[-keep:], *aliased, *serving}:
        state.needed |= copies[n] | needs[n]
