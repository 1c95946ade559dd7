"""How often a parameter that does not matter is called important. Prints `claim | measured | draws`."""

from __future__ import annotations

import statistics

import pytest

from sailplane.sweeps.importance import importances
from tests.unit.sweeps.test_importance import noise, strong, swept


@pytest.mark.parametrize(("trials", "parameters", "sweeps"), [(20, 4, 300), (100, 8, 150)])
def test_on_pure_noise_one_sweep_of_twenty_has_an_important_parameter(
    trials: int, parameters: int, sweeps: int
) -> None:
    found = [importances(*swept(trials, parameters, noise, seed)) for seed in range(sweeps)]
    wrong = sum(any(not one.is_noise for one in each.values()) for each in found)
    largest = statistics.mean(max(one.share for one in each.values()) for each in found)
    claim = f"noise, {trials} trials of {parameters} parameters"
    print(f"{claim} | any important in {wrong / sweeps:.1%}, largest share {largest:.2f} on average | {sweeps} sweeps")
    # The level is 5%; up to two standard errors above it are chance.
    assert wrong / sweeps <= 0.05 + 2 * (0.05 * 0.95 / sweeps) ** 0.5


@pytest.mark.parametrize(("trials", "least"), [(20, 0.4), (50, 0.9), (100, 0.98)])
def test_a_strong_parameter_is_found(trials: int, least: float) -> None:
    """It explains 0.6 of the variance."""
    sweeps = 60
    found = [importances(*swept(trials, 6, strong, seed)) for seed in range(sweeps)]
    right = statistics.mean(not each["x1"].is_noise for each in found)
    false = statistics.mean(any(not one.is_noise for name, one in each.items() if name != "x1") for each in found)
    print(f"x1 explains 0.6, {trials} trials | found in {right:.0%}, another in {false:.0%} | {sweeps} sweeps")
    assert right >= least
    assert false <= 0.05
