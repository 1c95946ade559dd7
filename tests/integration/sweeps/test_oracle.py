"""Our sweeps compared with W&B's own engine, `sweeps`: distributions, grids and early stopping are the same, and the
same files are refused.

They take a minute, because the fixture `ask` makes an environment for W&B's engine, and because the engine draws
thousands of samples."""

from __future__ import annotations

import json
import math
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats

from sailplane.errors import SweepFileError
from sailplane.records import Trial
from sailplane.sweeps.reading import DISTRIBUTIONS
from sailplane.sweeps.space import SweepConfig, parse
from sailplane.sweeps.stopping import stop_early
from sailplane.sweeps.suggest import suggest
from tests.environments import environment
from tests.integration.sweeps.wandb_files import FILES

CredentialProvider = Callable[[list[Any]], list[Any]]
SAMPLES = 800
CONTINUOUS = [
    {"min": -1.0, "max": 3.0},
    {"distribution": "uniform", "min": 0, "max": 7},
    {"distribution": "log_uniform", "min": -7, "max": 1},
    {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1},
    {"distribution": "inv_log_uniform", "min": 0.5, "max": 5},
    {"distribution": "inv_log_uniform_values", "min": 0.01, "max": 1},
    {"distribution": "normal"},
    {"distribution": "normal", "mu": 2, "sigma": 3},
    {"distribution": "log_normal", "mu": 0.5, "sigma": 0.7},
    {"distribution": "beta", "a": 2, "b": 5},
    {"distribution": "beta"},
]
STEPPED = [
    {"min": 3, "max": 9},
    {"distribution": "int_uniform", "min": -4, "max": 4},
    {"distribution": "q_uniform", "min": 0, "max": 10},
    {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
    {"distribution": "q_log_uniform", "min": 0, "max": 5, "q": 2},
    {"distribution": "q_log_uniform_values", "min": 1, "max": 512, "q": 8},
    {"distribution": "q_normal", "mu": 0, "sigma": 20, "q": 5},
    {"distribution": "q_log_normal", "mu": 2, "sigma": 1, "q": 3},
    {"distribution": "q_beta", "a": 2, "b": 2, "q": 0.1},
    {"values": [1, 2.5, "three", True]},
    {"values": ["a", "b", "c"], "probabilities": [0.6, 0.1, 0.3]},
]
GRIDS = [
    {"a": {"values": [1, 2]}, "b": {"values": ["x", "y", "z"]}, "c": {"value": 5}},
    {"n": {"min": 2, "max": 5}, "m": {"distribution": "int_uniform", "min": 0, "max": 1}},
    {"q": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, "r": {"values": [None, [1, 2]]}},
]
STOPPING = [
    {"type": "hyperband", "min_iter": 1},
    {"type": "hyperband", "min_iter": 2, "eta": 2},
    {"type": "hyperband", "min_iter": 3, "eta": 1.5, "strict": False},
    {"type": "hyperband", "max_iter": 27, "s": 2},
    {"type": "hyperband", "max_iter": 20, "s": 5, "eta": 2, "strict": False},
    {"type": "hyperband", "max_iter": 10, "s": 2, "eta": 1.7, "strict": True},
]
# Parameters, and then files, that W&B refuses.
WRONG: list[dict[str, Any]] = [
    *(
        {"parameters": {"x": wrong}}
        for wrong in (
            {},
            {"min": 3},
            {"min": 3, "max": 3},
            {"min": 3.0, "max": 1.0},
            {"values": []},
            {"values": 3},
            {"value": 1, "values": [1]},
            {"values": [1, 2], "probabilities": [0.5]},
            {"values": [1, 2], "probabilities": [0.5, 0.6]},
            {"values": [1, 2], "probabilities": [-0.5, 1.5]},
            {"distribution": "unifrm", "min": 0.0, "max": 1.0},
            {"distribution": "uniform", "min": 0.0},
            {"distribution": "uniform", "min": "0", "max": 1.0},
            {"distribution": "int_uniform", "min": 0.5, "max": 3},
            {"distribution": "log_uniform_values", "min": 0, "max": 1},
            {"distribution": "q_uniform", "min": 0, "max": 9, "q": 0},
            {"distribution": "normal", "min": 0, "max": 1},
            {"distribution": "normal", "sigma": -1},
            {"distribution": "beta", "a": -1},
            {"min": 0.0, "max": 1.0, "step": 0.1},
            {"parameters": {}},
        )
    ),
    {"parameters": {}},
    {"parameters": {"1x": {"value": 1}}},
    {"method": "genetic"},
    {"run_cap": 0},
    {"run_cap": 1.5},
    {"metric": {"goal": "minimize"}},
    {"metric": {"name": "loss", "goal": "lower"}},
    {"metric": {"name": "loss", "target": "low"}},
    {"metric": {"name": "loss", "impute": "mean"}},
    {"metric": {"name": "loss", "better": "low"}},
    {"early_terminate": {"type": "median", "min_iter": 1}},
    {"early_terminate": {"type": "hyperband"}},
    {"early_terminate": {"type": "hyperband", "max_iter": 9}},
    {"early_terminate": {"type": "hyperband", "min_iter": 0}},
    {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}},
    {"early_terminate": {"type": "hyperband", "min_iter": 1, "strict": "yes"}},
    {"early_terminate": {"type": "hyperband", "min_iter": 1, "patience": 3}},
    {"surprise": 1},
]
# Other contents of a file, valid and invalid.
OPTIONAL: dict[str, list[Any]] = {
    "metric": [{"name": "loss"}, {"name": "a/b", "goal": "maximize", "target": 0.9}, {"goal": "minimize"}],
    "metrics": [[{"name": "loss"}, {"name": "seconds"}], [{"name": "loss"}], []],
    "run_cap": [1, 7, 10.0, 0, 1.5],
    "early_terminate": [
        *STOPPING,
        {"type": "hyperband", "min_iter": 3.0},
        {"type": "hyperband", "max_iter": 1, "s": 1},
    ],
    "name": ["rates", "", 3],
    "description": ["of rates", ""],
    "program": ["train.py", "", 3],
    "command": [["python", "${program}", 1], "python"],
    "job": ["us/train:v1"],
    "image_uri": ["train:v1"],
    "project": ["ours"],
    "entity": ["us"],
    "controller": [{"type": "local"}, {"type": "cloud"}],
    "scheduler": [{"engine": "optuna"}, {"engine": "wandb"}],
    "kind": ["sweep"],
    "apiVersion": ["v1"],
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> CredentialProvider:
    python = environment(tmp_path_factory.mktemp("oracle"), "sweeps==0.3.0")
    script = Path(__file__).with_name("oracle.py")

    def answers(asked: list[Any]) -> list[Any]:
        ended = subprocess.run([str(python), str(script)], input=json.dumps(asked), capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        found: list[Any] = json.loads(ended.stdout)
        return found

    return answers


def file(**given: Any) -> dict[str, Any]:
    whole = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    return {**whole, "run_cap": 9, **given}


def read(whole: dict[str, Any]) -> SweepConfig:
    return parse(yaml.safe_dump(whole))


def test_each_quantile_of_each_distribution_is_the_same(ask: CredentialProvider) -> None:
    draw = random.Random(0)
    at = [draw.random() for _ in range(300)] + [1e-6, 0.5001, 1 - 1e-6]
    known = [*CONTINUOUS, *STEPPED]
    for parameter, theirs in zip(known, ask([["quantiles", one, at] for one in known]), strict=True):
        ours = read(file(parameters={"x": parameter})).parameters[0]
        for quantile, value in zip(at, theirs, strict=True):
            if isinstance(value, float):
                assert ours.at(quantile) == pytest.approx(value, rel=1e-9, abs=1e-12), (parameter, quantile)
            else:
                assert ours.at(quantile) == value, (parameter, quantile)
                assert type(ours.at(quantile)) is type(value), (parameter, quantile)


def test_random_search_draws_from_the_same_distributions(ask: CredentialProvider) -> None:
    known = [*CONTINUOUS, *STEPPED]
    drawn = ask([["samples", file(parameters={"x": one}), SAMPLES, 1] for one in known])
    for parameter, theirs in zip(known, drawn, strict=True):
        config = read(file(parameters={"x": parameter}))
        ours = [(suggest(config, [], number, 5) or {})["x"] for number in range(SAMPLES)]
        assert _same_distribution(ours, theirs, stepped=parameter in STEPPED) > 1e-4, parameter


def _same_distribution(ours: list[Any], theirs: list[Any], *, stepped: bool) -> float:
    """Returns the probability that two samples of one distribution differ this much."""
    if not stepped:
        return float(stats.ks_2samp(ours, theirs).pvalue)
    counts = [
        Counter(f"{value:.9g}" if isinstance(value, float) else str(value) for value in s) for s in (ours, theirs)
    ]
    common = [value for value in counts[0] | counts[1] if counts[0][value] + counts[1][value] > 20]
    table = [[count[value] for value in common] for count in counts]
    return float(stats.chi2_contingency(table).pvalue)


def test_a_grid_has_the_same_configurations_in_the_same_order(ask: CredentialProvider) -> None:
    for parameters, theirs in zip(
        GRIDS, ask([["grid", file(method="grid", parameters=g)] for g in GRIDS]), strict=True
    ):
        config = read(file(method="grid", parameters=parameters, run_cap=1000))
        ours = [suggest(config, [], number, 0) for number in range(config.size or 0)]
        free = [name for name, about in parameters.items() if "value" not in about]
        assert [{name: one[name] for name in free} for one in theirs] == [{n: (c or {})[n] for n in free} for c in ours]
        assert suggest(config, [], config.size or 0, 0) is None


def test_hyperband_stops_the_same_trials(ask: CredentialProvider) -> None:
    draw, asked, ours = random.Random(3), [], []
    for number in range(400):
        how, goal = STOPPING[number % len(STOPPING)], draw.choice(["minimize", "maximize"])
        whole = file(metric={"name": "loss", "goal": goal}, early_terminate=how)
        trials = [_trial(n, draw) for n in range(draw.randint(1, 12))]
        config = read(whole)
        assert config.stopping is not None
        ours.append(sorted(map(str, stop_early(config.stopping, trials, maximize=config.maximize))))
        asked.append(["stopped", whole, [_run(trial) for trial in trials]])
    assert ask(asked) == ours
    assert sum(map(len, ours)) > 300


def _trial(number: int, draw: random.Random) -> Trial:
    values = [draw.choice([math.nan, math.inf]) if draw.random() < 0.05 else draw.randint(0, 20) / 4 for _ in range(30)]
    state = draw.choice(["running", "running", "finished", "failed"])
    return Trial(sweep="s", number=number, config={}, state=state, values=tuple(values[: draw.randint(0, 30)]))


def _run(trial: Trial) -> dict[str, Any]:
    return {"name": str(trial.number), "state": trial.state, "history": [{"loss": value} for value in trial.values]}


def test_what_wandb_refuses_is_refused_with_its_line(ask: CredentialProvider) -> None:
    for wrong, theirs in zip(WRONG, ask([["violations", file(**wrong)] for wrong in WRONG]), strict=True):
        assert theirs, f"W&B takes {wrong}"
        with pytest.raises(SweepFileError, match=r"^sweep.yaml:\d+: "):
            read(file(**wrong))


def test_files_as_wandb_writes_them_are_taken(ask: CredentialProvider) -> None:
    assert ask([["violations", yaml.safe_load(text)] for text in FILES]) == [[]] * len(FILES)
    for text in FILES:
        config = parse(text)
        assert suggest(config, [], 0, seed=1), text


def test_whatever_wandb_takes_is_taken(ask: CredentialProvider) -> None:
    """Random files with the words of its schema, valid and invalid."""
    draw = random.Random(7)
    files = [_drawn(draw) for _ in range(2000)]
    taken = [one for one, takes in zip(files, ask([["takes", one] for one in files]), strict=True) if takes]
    assert len(taken) > 200
    for one in taken:
        assert read(one).parameters, one


def _drawn(draw: random.Random) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "method": draw.choice(["random", "grid", "bayes", "custom"]),
        "parameters": {name: _drawn_parameter(draw) for name in draw.sample(["a", "b_1", "c.d", "_e-f"], 2)},
    }
    for key, values in OPTIONAL.items():
        if draw.random() < 0.2:
            whole[key] = draw.choice(values)
    return whole


def _drawn_parameter(draw: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 2 and draw.random() < 0.1:
        return {"parameters": {name: _drawn_parameter(draw, depth + 1) for name in draw.sample("xyz", 2)}}
    # W&B checks the probabilities of nested parameters only when it is too late.
    distribution = draw.choice([one for one in DISTRIBUTIONS if not (depth and one.endswith("w_probabilities"))])
    needed, defaults = DISTRIBUTIONS[distribution]
    about: dict[str, Any] = {key: _drawn_value(draw, key) for key in needed}
    about |= {key: _drawn_value(draw, key) for key in defaults if draw.random() < 0.5}
    return about | ({"distribution": distribution} if draw.random() < 0.8 else {})


def _drawn_value(draw: random.Random, key: str) -> Any:
    if key == "values":
        return draw.choice([[1, 2], ["x", None, True, 1.5], [[1, 2], {"k": 1}], [0], []])
    if key == "probabilities":
        return draw.choice([[0.5, 0.5], [1], [0.25, 0.250001, 0.25, 0.25], [0.5, 0.6], 1])
    if key == "value":
        return draw.choice([1, "x", None, [1, 2], {"k": 1.5}, False])
    # W&B cannot draw from a range of width 0.
    low = {"min": [0, 1, -3, 0.5, 1e-6], "max": [1, 2.5, 4, 7], "mu": [0, 1, -1]}.get(key, [1, 0.5, 2, -1])
    return draw.choice([*low, draw.choice(["1", None, True])] if draw.random() < 0.1 else low)


def test_what_wandb_takes_is_taken(ask: CredentialProvider) -> None:
    right = [file(parameters={"x": one}) for one in (*CONTINUOUS, *STEPPED)]
    right += [file(method="grid", parameters=one) for one in GRIDS] + [file(early_terminate=one) for one in STOPPING]
    right += [file(metric={"name": "loss", "target": 0.1, "impute": "best", "impute_while_running": "latest"})]
    right += [file(parameters={"net": {"parameters": {"depth": {"values": [1, 2]}, "x": {"value": 3}}}})]
    assert ask([["violations", one] for one in right]) == [[]] * len(right)
    assert all(read(one) for one in right)
