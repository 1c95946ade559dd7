"""How often early stopping stops the trial that would have been the best. Prints `claim | measured | draws`."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from sailplane.sweeps.rungs import warning
from sailplane.sweeps.space import SweepConfig, parse
from tests.learning_curves import FAMILIES, Played, play, recorded, shuffled

SWEEPS, ORDERS = 1000, 100
FILE = "method: random\nmetric: {{name: loss}}\nrun_cap: 30\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n{}\n"
RULES = {
    "hyperband": "early_terminate: {type: hyperband, min_iter: 3}",
    "asha": "sailplane: {asha: {}}",
    "patience": "sailplane: {asha: {patience: 2}}",
    "careful": "sailplane: {asha: {patience: 2, whole_trials: 8}}",
}
# The largest share of sweeps whose best trial is stopped, and of values that may be reported.
CLAIMS = {
    ("well-behaved", "hyperband"): (0.0, 0.03, 0.4),
    ("well-behaved", "asha"): (0.0, 0.03, 0.3),
    ("well-behaved", "patience"): (0.0, 0.01, 0.5),
    ("well-behaved", "careful"): (0.0, 0.01, 0.65),
    ("noisy", "hyperband"): (0.2, 0.4, 0.4),
    ("noisy", "asha"): (0.32, 0.55, 0.3),
    ("noisy", "patience"): (0.0, 0.12, 0.6),
    ("noisy", "careful"): (0.0, 0.02, 1.0),
    ("best learns slowest", "hyperband"): (0.8, 1.0, 0.4),
    ("best learns slowest", "asha"): (0.8, 1.0, 0.3),
    ("best learns slowest", "patience"): (0.02, 0.25, 0.6),
    ("best learns slowest", "careful"): (0.0, 0.02, 1.0),
    # The other trials give no sign of it.
    ("one learns slowest", "careful"): (0.5, 0.95, 0.7),
}
RECORDED = {"hyperband": (0.4, 0.75), "asha": (0.7, 1.0), "patience": (0.4, 0.75), "careful": (0.0, 0.03)}


def config(rule: str) -> SweepConfig:
    return parse(FILE.format(RULES[rule]))


def told(claim: str, played: list[Played]) -> tuple[float, float]:
    """Returns the share of sweeps whose best trial was stopped, and the share of reported values."""
    lost, cost = statistics.mean(one.best_stopped for one in played), statistics.mean(one.cost for one in played)
    print(f"{claim} | best trial stopped in {lost:.1%} of sweeps, at {cost:.0%} of the values | {len(played)} sweeps")
    return lost, cost


@pytest.mark.parametrize(("family", "rule"), CLAIMS)
def test_how_often_the_best_trial_is_stopped(family: str, rule: str) -> None:
    least, most, dearest = CLAIMS[family, rule]
    stopping = config(rule).stopping
    assert stopping
    played = [play(FAMILIES[family](np.random.default_rng(seed)), stopping) for seed in range(SWEEPS)]
    lost, cost = told(f"{rule}, {family} curves", played)
    assert least <= lost <= most
    assert cost <= dearest


@pytest.mark.parametrize("rule", RULES)
def test_how_often_the_best_trial_of_flights_is_stopped(rule: str) -> None:
    stopping, draw = config(rule).stopping, np.random.default_rng(0)
    assert stopping
    played = [play(shuffled(curves, draw), stopping, workers=2) for curves in recorded() for _ in range(ORDERS)]
    lost, _ = told(f"{rule}, recorded curves of flights", played)
    least, most = RECORDED[rule]
    assert least <= lost <= most


@pytest.mark.parametrize(("family", "least", "most"), [("well-behaved", 0, 0.02), ("best learns slowest", 0.95, 1)])
def test_how_often_a_sweep_warns_of_its_rungs(family: str, least: float, most: float) -> None:
    known, sweeps = config("careful"), 300
    assert known.stopping
    played = [play(FAMILIES[family](np.random.default_rng(seed)), known.stopping) for seed in range(sweeps)]
    warned = statistics.mean(warning(known, one.trials) is not None for one in played)
    print(f"careful, {family} curves: a warning | {warned:.1%} of sweeps | {sweeps} sweeps")
    assert least <= warned <= most
