"""Each distribution is compared with its definition in scipy."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sailplane.sweeps.parameters import Parameter

SAMPLES = 2000
CONTINUOUS: list[tuple[dict[str, Any], Any]] = [
    ({"distribution": "uniform", "min": -1.0, "max": 3.0}, stats.uniform(-1, 4).cdf),
    ({"distribution": "log_uniform", "min": -7.0, "max": 1.0}, lambda x: (np.log(x) + 7) / 8),
    ({"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1).cdf),
    ({"distribution": "inv_log_uniform", "min": 0.0, "max": 5.0}, lambda x: 1 - np.log(1 / x) / 5),
    ({"distribution": "inv_log_uniform_values", "min": 0.01, "max": 1.0}, stats.loguniform(0.01, 1).cdf),
    ({"distribution": "normal", "mu": 2.0, "sigma": 3.0}, stats.norm(2, 3).cdf),
    ({"distribution": "beta", "a": 2.0, "b": 5.0}, stats.beta(2, 5).cdf),
    ({"distribution": "log_normal", "mu": 0.5, "sigma": 0.7}, stats.lognorm(0.7, scale=math.exp(0.5)).cdf),
]
QUANTISED: list[dict[str, Any]] = [
    {"distribution": "q_uniform", "min": 0, "max": 100, "q": 10},
    {"distribution": "q_log_uniform", "min": 0, "max": 5, "q": 2},
    {"distribution": "q_log_uniform_values", "min": 1, "max": 512, "q": 8},
    {"distribution": "q_normal", "mu": 0, "sigma": 20, "q": 5},
    {"distribution": "q_beta", "a": 2, "b": 2, "q": 0.125},
    {"distribution": "q_log_normal", "mu": 2, "sigma": 1, "q": 3},
]


def _named(settings: dict[str, Any]) -> str:
    return str(settings["distribution"])


@pytest.mark.parametrize(("settings", "cdf"), CONTINUOUS, ids=[_named(settings) for settings, _ in CONTINUOUS])
def test_a_distribution_is_the_one_that_its_name_says(settings: dict[str, Any], cdf: Any) -> None:
    parameter, draw = Parameter(path=("x",), **settings), random.Random(0)
    samples = [parameter.at(draw.random()) for _ in range(SAMPLES)]
    assert stats.kstest(samples, cdf).pvalue > 0.001


@pytest.mark.parametrize("settings", QUANTISED, ids=_named)
def test_a_quantised_value_is_a_multiple_of_q(settings: dict[str, Any]) -> None:
    parameter, draw = Parameter(path=("x",), **settings), random.Random(0)
    samples = {parameter.at(draw.random()) for _ in range(SAMPLES)}
    assert len(samples) > 3
    assert all(sample % settings["q"] == 0 and isinstance(sample, type(settings["q"])) for sample in samples)


@pytest.mark.parametrize("settings", [settings for settings, _ in CONTINUOUS], ids=_named)
@given(quantile=st.floats(0.001, 0.999))
def test_quantile_is_the_inverse_of_at(settings: dict[str, Any], quantile: float) -> None:
    parameter = Parameter(path=("x",), **settings)
    assert parameter.quantile(parameter.at(quantile)) == pytest.approx(quantile, abs=1e-9)


@given(low=st.integers(-50, 50), size=st.integers(0, 50), quantile=st.floats(0, 1))
def test_an_integer_lies_within_its_bounds_and_has_its_way_back(low: int, size: int, quantile: float) -> None:
    parameter = Parameter(path=("x",), distribution="int_uniform", min=low, max=low + size)
    value = parameter.at(quantile)
    assert isinstance(value, int)
    assert low <= value <= low + size
    assert parameter.at(parameter.quantile(value)) == value


def test_weighted_choices_come_as_often_as_their_weights_say() -> None:
    weights = (0.7, 0.0, 0.3)
    parameter = Parameter(
        path=("x",), distribution="categorical_w_probabilities", values=("a", "b", "c"), probabilities=weights
    )
    draw = random.Random(0)
    samples = [parameter.at(draw.random()) for _ in range(SAMPLES)]
    assert [samples.count(value) / SAMPLES for value in "abc"] == pytest.approx(weights, abs=0.04)
    assert parameter.at(parameter.quantile("c")) == "c"


def test_choices_that_python_takes_for_equal_are_kept_apart() -> None:
    parameter = Parameter(path=("x",), distribution="categorical", values=(True, 1, 1.0, "1"))
    assert [parameter.index(value) for value in parameter.values] == [0, 1, 2, 3]


def test_a_grid_of_q_uniform_stops_before_max_as_with_wandb() -> None:
    assert Parameter(path=("x",), distribution="q_uniform", min=0, max=30, q=10).grid() == (0, 10, 20)
