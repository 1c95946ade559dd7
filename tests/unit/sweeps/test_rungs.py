from __future__ import annotations

import numpy as np
import pytest

from sailplane.records import Trial
from sailplane.sweeps.rungs import agreements, warning
from sailplane.sweeps.space import SweepConfig, parse
from tests.learning_curves import FAMILIES, play

FILE = "method: random\nmetric: {{name: loss}}\nrun_cap: 30\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n{}\n"
HYPERBAND = "early_terminate: {type: hyperband, min_iter: 1}"
PATIENT = "sailplane: {asha: {patience: 2}}"
CAREFUL = "sailplane: {asha: {patience: 2, whole_trials: 8}}"


def played(config: SweepConfig, family: str, seed: int = 1) -> tuple[Trial, ...]:
    assert config.stopping is not None
    return play(FAMILIES[family](np.random.default_rng(seed)), config.stopping).trials


def test_it_is_said_that_rungs_rank_trials_otherwise_than_the_end_with_the_figures() -> None:
    config = parse(FILE.format(PATIENT))
    trials = played(config, "best learns slowest")
    found = {one.band: one for one in agreements(config, trials)}
    whole = [trial for trial in trials if len(trial.values) == 27]
    assert set(found) == {1, 3, 9}
    assert found[3].trials == len(whole)
    assert found[3].correlation < 0
    told = warning(config, trials) or ""
    assert f"{found[3].correlation:.2f}" in told
    assert f"(Spearman, {len(whole)} full trials)" in told
    assert f"The best trial may be among the {30 - len(whole)} stopped trials." in told


def test_where_the_rule_itself_finds_that_it_stops_none_there() -> None:
    config = parse(FILE.format(CAREFUL))
    told = warning(config, played(config, "best learns slowest")) or ""
    assert "8 full trials" in told
    assert "No trial is stopped there." in told


@pytest.mark.slow
@pytest.mark.parametrize("rule", [PATIENT, CAREFUL])
def test_nothing_is_said_where_ranks_hold(rule: str) -> None:
    config = parse(FILE.format(rule))
    assert [warning(config, played(config, "well-behaved", seed)) for seed in range(20)] == [None] * 20


def test_too_few_whole_trials_are_said_to_be_too_few() -> None:
    config = parse(FILE.format(HYPERBAND))
    trials = played(config, "noisy", seed=3)
    whole = sum(len(trial.values) == 27 for trial in trials)
    assert whole < 5
    expected = f"stopped {30 - whole} trials, and {whole} ran to the end: too few to tell whether that was right."
    assert expected in (warning(config, trials) or "")


def test_nothing_is_said_of_a_sweep_without_a_rule_or_without_trials_that_were_stopped() -> None:
    assert warning(parse(FILE.format("")), played(parse(FILE.format(HYPERBAND)), "noisy")) is None
    assert agreements(parse(FILE.format("")), []) == []
    config = parse(FILE.format(HYPERBAND))
    whole = [trial for trial in played(config, "noisy") if len(trial.values) == 27]
    assert warning(config, whole) is None
    assert warning(config, []) is None
    assert warning(parse(FILE.format(CAREFUL)), whole[:3]) is None
