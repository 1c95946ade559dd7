from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.samplers import RandomSampler

from sailplane.records import Trial
from sailplane.sweeps.importance import ParameterImportance, importances, no_importance
from sailplane.sweeps.optuna_search import Study
from sailplane.sweeps.space import SweepConfig, parse
from tests.executed import lines

Score = Callable[[Any, np.random.Generator], float]


def space(parameters: int) -> SweepConfig:
    listed = "".join(f"  x{n}: {{min: 0.0, max: 1.0}}\n" for n in range(parameters))
    return parse(f"method: random\nmetric: {{name: loss}}\nrun_cap: 100\nparameters:\n{listed}  fixed: {{value: 1}}\n")


def swept(trials: int, parameters: int, score: Score, seed: int = 0) -> tuple[SweepConfig, list[Trial]]:
    draw = np.random.default_rng(seed)
    found = []
    for number, row in enumerate(draw.random((trials, parameters))):
        config = {f"x{n}": float(value) for n, value in enumerate(row)} | {"fixed": 1}
        scored = {"state": "finished", "score": float(score(row, draw))}
        found.append(Trial(sweep="s", number=number, config=config, **scored))  # type: ignore[arg-type]
    return space(parameters), found


def noise(_row: Any, draw: np.random.Generator) -> float:
    return float(draw.normal())


def strong(row: Any, draw: np.random.Generator) -> float:
    """x1 explains 0.6 of the variance."""
    return float(row[1] * 12**0.5 + draw.normal() * (0.4 / 0.6) ** 0.5)


@pytest.mark.slow
def test_on_noise_no_parameter_is_important() -> None:
    """There are six sweeps here and more in tests/soak. One in twenty parameters may be called important."""
    found = [importances(*swept(20, 3, noise, seed)) for seed in range(6)]
    assert sum(any(not one.is_noise for one in each.values()) for each in found) <= 1
    assert all(len({one.chance for one in each.values()}) == 1 for each in found)


@pytest.mark.slow
def test_a_parameter_that_matters_is_found_first_and_the_others_are_noise() -> None:
    for seed in range(2):
        found = importances(*swept(60, 5, strong, seed))
        assert next(iter(found)) == "x1"
        assert [name for name, one in found.items() if not one.is_noise] == ["x1"]
        assert found["x1"].low <= found["x1"].share <= found["x1"].high


@pytest.mark.slow
def test_more_trials_make_it_more_certain() -> None:
    few, many = (importances(*swept(count, 5, strong))["x1"] for count in (25, 200))
    assert many.high - many.low < few.high - few.low
    assert many.chance < few.chance


def test_below_twenty_trials_nothing_is_said_and_why() -> None:
    config, trials = swept(20, 3, strong)
    assert no_importance(config, trials) is None
    assert importances(config, trials[:19]) == {}
    assert no_importance(config, trials[:19]) == "too few trials: 19 finished; at least 20 are needed"


def test_equal_scores_and_constant_parameters_say_nothing() -> None:
    config, trials = swept(25, 2, lambda _row, _draw: 1.0)
    assert (importances(config, trials), no_importance(config, trials)) == ({}, "all scores are equal")
    constant = parse("method: grid\nmetric: {name: a}\nparameters:\n  p: {value: 1}\n")
    assert (importances(constant, trials), no_importance(constant, trials)) == ({}, "all parameters are constant")


@pytest.mark.slow
def test_the_shares_are_those_of_optunas_functional_anova() -> None:
    config, trials = swept(80, 3, lambda row, draw: 3 * row[0] + 4 * (row[1] - 0.5) ** 2 + 0.1 * draw.normal())
    ours = importances(config, trials)
    study = Study(config, trials, RandomSampler(seed=0)).optuna
    with pytest.warns(ExperimentalWarning, match="normalize"):
        theirs = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), normalize=False)
    assert {name: one.share for name, one in ours.items()} == pytest.approx(theirs, abs=0.05)


@pytest.mark.slow
def test_choices_and_whole_numbers_count_as_other_parameters_do() -> None:
    text = "method: random\nmetric: {name: a}\nrun_cap: 60\nparameters:\n"
    config = parse(text + "  kind: {values: [a, null, [1]]}\n  layers: {min: 1, max: 4}\n  x: {min: 0.0, max: 1.0}\n")
    draw = np.random.default_rng(1)
    trials = []
    for number in range(60):
        chosen = {p.name: p.at(float(draw.random())) for p in config.parameters}
        score = {"'a'": 0.0, "None": 1.0, "[1]": 0.1}[repr(chosen["kind"])] + 0.2 * float(draw.normal())
        trials.append(Trial(sweep="s", number=number, config=chosen, state="finished", score=score))
    found = importances(config, trials)
    assert [name for name, one in found.items() if not one.is_noise] == ["kind"]
    assert found["kind"].share > 0.6


@pytest.mark.slow
def test_the_same_trials_give_the_same_figures() -> None:
    assert importances(*swept(30, 3, strong)) == importances(*swept(30, 3, strong))
    found = importances(*swept(30, 3, strong))["x1"]
    assert ParameterImportance.from_dict(found.to_dict()) == found


@pytest.mark.slow
def test_a_hundred_trials_of_eight_parameters_take_few_lines() -> None:
    config, trials = swept(100, 8, strong)
    importances(*swept(20, 2, strong))
    assert lines(lambda: importances(config, trials)) < 6_000_000
