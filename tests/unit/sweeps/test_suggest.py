from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from typing import Any

import optuna
import pytest

from sailplane.records import Trial
from sailplane.sweeps.optuna_search import scores
from sailplane.sweeps.space import parse
from sailplane.sweeps.suggest import suggest

# Optuna's Gaussian process uses torch.
GAUSSIAN_PROCESS = pytest.mark.torch
SPACE = """\
method: {method}
metric: {{name: loss, goal: minimize}}
run_cap: 30
parameters:
  x: {{min: -5.0, max: 5.0}}
  layers: {{values: [[32], [64, 64]]}}
  optimizer:
    parameters:
      name: {{values: [adam, sgd]}}
      momentum: {{value: 0.9}}
"""
GRID = "method: grid\nmetric: {name: a}\nparameters:\n  a: {values: [1, 2]}\n  b: {values: [x, y, z]}\n"


def _history(method: str, count: int) -> list[Trial]:
    """Returns trials as a sweep makes them; the last one is still running."""
    config, trials = parse(SPACE.format(method=method)), []
    for number in range(count):
        chosen = suggest(config, trials, number, 3) or {}
        score = chosen["x"] ** 2 + len(chosen["layers"])
        trials.append(Trial(sweep="s", number=number, config=chosen, state="finished", score=score))
    trials[-1] = replace(trials[-1], state="running", score=None)
    return trials


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", pytest.param("bayes", marks=GAUSSIAN_PROCESS)])
def test_equal_arguments_give_equal_answers(method: str) -> None:
    config, history = parse(SPACE.format(method=method)), _history(method, 14)
    first = suggest(config, history, 14, 3)
    assert first == suggest(config, list(reversed(history)), 14, 3)
    assert first != suggest(config, history, 14, 4)
    assert first != suggest(config, history, 15, 3)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_nested_parameters_come_nested_and_in_the_types_of_json(method: str) -> None:
    chosen = suggest(parse(SPACE.format(method=method)), [], 0, 0)
    assert chosen is not None
    assert chosen == json.loads(json.dumps(chosen))
    assert chosen["optimizer"]["momentum"] == 0.9
    assert chosen["layers"] in ([32], [64, 64])


def test_random_search_gives_a_parameter_the_same_values_whatever_others_there_are() -> None:
    config = parse(SPACE.format(method="random"))
    alone = replace(config, parameters=tuple(p for p in config.parameters if p.name == "x"))
    for number in range(5):
        assert (suggest(config, [], number, 1) or {})["x"] == (suggest(alone, [], number, 1) or {})["x"]


@pytest.mark.slow
@GAUSSIAN_PROCESS
def test_bayes_comes_nearer_to_the_best_as_it_goes_on() -> None:
    scores = [trial.score for trial in _history("bayes", 31) if trial.score is not None]
    assert sum(scores[20:30]) < sum(scores[:10]) / 2


def test_a_failed_trial_counts_as_the_file_says_of_it() -> None:
    config, history = parse(SPACE.format(method="bayes")), _history("bayes", 4)
    failed = Trial(sweep="s", number=4, config={**history[0].config, "x": 1.0}, state="failed", values=(7.0,))
    known = [trial.score for trial in history if trial.score is not None]
    for how, score in {"worst": max(known), "best": min(known), "latest": 7.0}.items():
        assert scores(replace(config, impute=how), [*history, failed])[-1] == score
    assert scores(config, [failed]) == [None]


def test_a_running_trial_is_a_pending_point_unless_the_file_says_otherwise() -> None:
    config, history = parse(SPACE.format(method="bayes")), _history("bayes", 4)
    running = replace(history[-1], values=(3.0, 2.0))
    assert scores(config, [*history[:-1], running])[-1] is None
    assert scores(replace(config, impute_while_running="latest"), [*history[:-1], running])[-1] == 2.0
    assert scores(replace(config, impute_while_running="latest"), history)[-1] is None


@pytest.mark.slow
@GAUSSIAN_PROCESS
def test_bayes_never_gives_a_configuration_again_while_there_are_others() -> None:
    config, trials = parse(SPACE.format(method="bayes")), []
    for number in range(25):
        # The best value is at the edge, so a model soon is sure of it.
        chosen = suggest(config, trials, number, 3) or {}
        trials.append(Trial(sweep="s", number=number, config=chosen, state="finished", score=chosen["x"]))
    assert len({json.dumps(trial.config) for trial in trials}) == 25


@pytest.mark.parametrize(
    ("dimensions", "past", "expected"),
    [pytest.param(8, 12, "GPSampler", marks=GAUSSIAN_PROCESS), (9, 12, "TPESampler")],
)
def test_a_small_space_is_searched_by_a_gaussian_process(
    dimensions: int, past: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    for name in ("GPSampler", "TPESampler"):
        kind = getattr(optuna.samplers, name)
        monkeypatch.setattr(kind, "sample_relative", _told(kind.sample_relative, name, used))
        monkeypatch.setattr(kind, "sample_independent", _told(kind.sample_independent, name, used))
    names = "".join(f"  x{n}: {{min: 0.0, max: 1.0}}\n" for n in range(dimensions))
    config = parse(f"method: bayes\nmetric: {{name: a}}\nparameters:\n{names}")
    trials = []
    for number in range(past):
        chosen = {f"x{n}": random.Random(f"{number}/{n}").random() for n in range(dimensions)}
        trials.append(Trial(sweep="s", number=number, config=chosen, state="finished", score=sum(chosen.values())))
    suggest(config, trials, past, 0)
    assert expected in used


def _told(call: Any, name: str, used: list[str]) -> Any:
    def told(*args: Any, **kwargs: Any) -> Any:
        used.append(name)
        return call(*args, **kwargs)

    return told


def test_a_grid_gives_each_combination_once_and_then_none() -> None:
    config = parse(GRID)
    given = [suggest(config, [], number, 0) for number in range(7)]
    assert given[:6] == [{"a": a, "b": b} for a, b in itertools.product([1, 2], "xyz")]
    assert given[6] is None
