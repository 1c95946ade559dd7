"""Positions of values on a chart's axis, and the positions that get a label."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sailplane.sweeps.parameters import Parameter

# More labels would overlap.
MOST_LABELS: Final = 20
MOST_LETTERS: Final = 18


@dataclass(frozen=True)
class Axis:
    """`positions` lie in [0, 1], one for each value; `ticks` are positions with their labels."""

    name: str
    positions: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]


def parameter_axis(parameter: Parameter, values: Sequence[Any]) -> Axis:
    """The axis of a parameter: choices in the file's order, numbers from the smallest to the largest."""
    if not parameter.values:
        return number_axis(parameter.name, values, log="log" in parameter.distribution)
    every = math.ceil(len(parameter.values) / MOST_LABELS)
    last = len(parameter.values) - 1
    positions = [n / last if last else 0.5 for n in range(last + 1)]
    ticks = tuple(zip(positions, _labels(parameter.values), strict=True))[::every]
    return Axis(parameter.name, tuple(positions[parameter.index(value)] for value in values), ticks)


def number_axis(name: str, values: Sequence[float], *, log: bool) -> Axis:
    """An axis of numbers. It is linear despite `log` if rounding gave a value without a logarithm."""
    log = log and min(values) > 0
    low, high = _on(min(values), log), _on(max(values), log)

    def position(value: float) -> float:
        return (_on(value, log) - low) / (high - low) if high > low else 0.5

    ticks = tuple((position(mark), f"{mark:.10g}") for mark in marks(min(values), max(values), log=log))
    return Axis(name, tuple(map(position, values)), ticks)


def marks(low: float, high: float, *, log: bool) -> list[float]:
    """Round numbers from `low` to `high`, at most ten; `low` itself if both are equal."""
    if low >= high:
        return [low]
    found = _decades(low, high) if log else []
    if len(found) > 1:
        return found
    size = step(low, high)
    # A rounding error must not drop the last mark.
    return [n * size for n in range(math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9) + 1)]


def step(low: float, high: float, count: int = 8) -> float:
    """A round step, 1, 2 or 5 times a power of ten: about `count` steps cover the range, which must not be empty."""
    least = (high - low) / count
    power = 10.0 ** math.floor(math.log10(least))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least), 10 * power)


def is_wide(values: Sequence[float]) -> bool:
    """Whether a linear axis would squeeze most values together: all are above 0, and span over three powers of ten."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 1000


def text(value: object) -> str:
    """The value on one line; other types than text as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def cut(words: str, most: int = MOST_LETTERS) -> str:
    """The two ends of a long text, because choices often differ only in the last letters."""
    return words if len(words) <= most else f"{words[: most // 2]}…{words[len(words) - (most - 1) // 2 :]}"


def _labels(choices: Sequence[Any]) -> list[str]:
    """Choices as labels, in quotes only if a text equals another choice: "true" next to true."""
    plain = [text(choice) for choice in choices]
    unique = len(set(plain)) == len(plain)
    return [cut(label) for label in (plain if unique else map(json.dumps, choices))]


def _on(value: float, log: bool) -> float:
    return math.log10(value) if log else float(value)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten; if these are too many, only every first, second or third power."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = math.ceil(len(powers) / 10)
    fine = [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]
    found = [mark for mark in fine if low <= mark <= high]
    return found if len(found) <= 10 else [mark for mark in found if mark in fine[:: 3 * every]]
