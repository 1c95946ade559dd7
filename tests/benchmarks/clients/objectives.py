"""Functions whose least value is searched, and their spaces in the form of a W&B sweep file. Sources: Surjanovic and
Bingham, Virtual Library of Simulation Experiments, for the first three; `mixed` is ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Space = dict[str, dict[str, Any]]


def branin(config: Mapping[str, Any]) -> float:
    x, y = config["x0"], config["x1"]
    curve = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


_WEIGHTS = (1.0, 1.2, 3.0, 3.2)
_WIDTHS = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_CENTRES = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def hartmann(config: Mapping[str, Any]) -> float:
    at = [config[f"x{n}"] for n in range(6)]
    return -sum(
        weight * math.exp(-sum(w * (x - c) ** 2 for w, x, c in zip(widths, at, centres, strict=True)))
        for weight, widths, centres in zip(_WEIGHTS, _WIDTHS, _CENTRES, strict=True)
    )


def rosenbrock(config: Mapping[str, Any]) -> float:
    x = [config[f"x{n}"] for n in range(10)]
    return float(sum(100 * (x[n + 1] - x[n] ** 2) ** 2 + (1 - x[n]) ** 2 for n in range(9)))


def mixed(config: Mapping[str, Any]) -> float:
    """Behaves like a network's loss: the best rate depends on the optimizer, the best dropout on the depth."""
    best_rate = {"adam": -3.0, "sgd": -1.0, "rmsprop": -3.5}[config["optimizer"]]
    penalty = {"adam": 0.0, "sgd": 0.02, "rmsprop": 0.05}[config["optimizer"]]
    rate = 0.02 * (math.log10(config["rate"]) - best_rate) ** 2
    depth = 0.01 * (config["layers"] - 4) ** 2
    return rate + depth + penalty + 0.3 * (config["dropout"] - 0.05 * config["layers"]) ** 2


def _cube(dimensions: int, low: float, high: float) -> Space:
    return {f"x{n}": {"distribution": "uniform", "min": low, "max": high} for n in range(dimensions)}


# The space, the function, and its least value.
OBJECTIVES: dict[str, tuple[Space, Callable[[Mapping[str, Any]], float], float]] = {
    "Branin": (
        {
            "x0": {"distribution": "uniform", "min": -5.0, "max": 10.0},
            "x1": {"distribution": "uniform", "min": 0.0, "max": 15.0},
        },
        branin,
        0.397887,
    ),
    "Hartmann-6": (_cube(6, 0.0, 1.0), hartmann, -3.32237),
    "Rosenbrock-10": (_cube(10, -5.0, 10.0), rosenbrock, 0.0),
    "mixed": (
        {
            "rate": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
            "layers": {"distribution": "int_uniform", "min": 1, "max": 8},
            "dropout": {"distribution": "uniform", "min": 0.0, "max": 0.6},
            "optimizer": {"values": ["adam", "sgd", "rmsprop"]},
        },
        mixed,
        0.0,
    ),
}


def sweep_file(name: str) -> dict[str, Any]:
    goal = {"name": "loss", "goal": "minimize"}
    return {"method": "bayes", "metric": goal, "run_cap": 1000, "parameters": OBJECTIVES[name][0]}
