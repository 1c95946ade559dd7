"""Reads the parameters of a W&B sweep file. Errors name the line."""

from __future__ import annotations

import math
import re
import sys
from statistics import NormalDist
from typing import Final

from sailplane.errors import SweepFileError
from sailplane.sweeps.document import Section
from sailplane.sweeps.parameters import EDGE, Parameter

# distribution: (required keys, keys with a default)
DISTRIBUTIONS: Final[dict[str, tuple[tuple[str, ...], dict[str, float]]]] = {
    "constant": (("value",), {}),
    "categorical": (("values",), {}),
    "categorical_w_probabilities": (("values", "probabilities"), {}),
    "int_uniform": (("min", "max"), {}),
    "uniform": (("min", "max"), {}),
    "q_uniform": (("min", "max"), {"q": 1}),
    "log_uniform": (("min", "max"), {}),
    "q_log_uniform": (("min", "max"), {"q": 1}),
    "inv_log_uniform": (("min", "max"), {}),
    "log_uniform_values": (("min", "max"), {}),
    "q_log_uniform_values": (("min", "max"), {"q": 1}),
    "inv_log_uniform_values": (("min", "max"), {}),
    "normal": ((), {"mu": 0, "sigma": 1}),
    "q_normal": ((), {"mu": 0, "sigma": 1, "q": 1}),
    "log_normal": ((), {"mu": 0, "sigma": 1}),
    "q_log_normal": ((), {"mu": 0, "sigma": 1, "q": 1}),
    "beta": ((), {"a": 1, "b": 1}),
    "q_beta": ((), {"a": 1, "b": 1, "q": 1}),
}
NUMBERS: Final = ("min", "max", "mu", "sigma", "a", "b", "q")
KEYS: Final = ("distribution", "value", "values", "probabilities", *NUMBERS, "parameters")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# W&B's tolerance for the sum of probabilities.
_FAR: Final = 1e-5
# The largest exponent of e whose power a float can hold.
_MOST_EXPONENT: Final = 709


def read_parameters(section: Section, path: tuple[str, ...] = ()) -> tuple[Parameter, ...]:
    """The parameters of a `parameters:` section, including nested ones, sorted by name."""
    if not section.names():
        raise SweepFileError(f"{section.file}:{section.line}", got="no parameters", expected="at least one")
    found: list[Parameter] = []
    for name in sorted(section.names()):
        if not _NAME.fullmatch(name):
            expected = "letters, digits, _ . and -, starting with a letter or _"
            raise section.wrong(name, f"the parameter name {name!r}", expected=expected)
        full_path = (*path, name)
        entry = section.section(name, f"parameter {'.'.join(full_path)!r}")
        entry.allow(KEYS)
        if "parameters" in entry:
            entry.allow(("parameters",))
            found += read_parameters(entry.section("parameters"), full_path)
        else:
            found.append(_read(entry, full_path))
    return tuple(found)


def _read(entry: Section, path: tuple[str, ...]) -> Parameter:
    distribution = _distribution(entry)
    needed, defaults = DISTRIBUTIONS[distribution]
    entry.require(*needed)
    entry.allow(("distribution", *needed, *defaults))
    if distribution == "constant":
        return Parameter(path=path, distribution=distribution, values=(entry.json("value"),))
    if "values" in needed:
        return _read_choices(entry, path, distribution)
    numbers = {key: _number(entry, key, defaults.get(key)) for key in (*needed, *defaults)}
    _check_range(entry, distribution, numbers)
    return Parameter(path=path, distribution=distribution, **numbers)  # type: ignore[arg-type]


def _distribution(entry: Section) -> str:
    """W&B's rule without a given distribution: two ints mean int_uniform, any other two numbers uniform."""
    if "distribution" in entry:
        return entry.choice("distribution", DISTRIBUTIONS)
    if "value" in entry:
        return "constant"
    if "values" in entry:
        return "categorical_w_probabilities" if "probabilities" in entry else "categorical"
    if not ("min" in entry and "max" in entry):
        raise SweepFileError(
            f"{entry.file}:{entry.line}",
            got=f"{entry.name} has no values",
            expected="value, values, min and max, or a distribution",
        )
    return "int_uniform" if all(type(_number(entry, key)) is int for key in ("min", "max")) else "uniform"


def _read_choices(entry: Section, path: tuple[str, ...], distribution: str) -> Parameter:
    values, weights = entry.json("values"), entry.get("probabilities", [])
    if not isinstance(values, list) or not values:
        raise entry.wrong("values", f"values is {values!r}", expected="a list of at least one value")
    if distribution == "categorical_w_probabilities" and not _are_probabilities(weights, len(values)):
        got = f"probabilities are {weights}"
        raise entry.wrong("probabilities", got, expected=f"{len(values)} numbers that add up to 1")
    return Parameter(path=path, distribution=distribution, values=tuple(values), probabilities=tuple(weights))


def _are_probabilities(weights: object, count: int) -> bool:
    if not isinstance(weights, list) or len(weights) != count:
        return False
    if any(isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0 for weight in weights):
        return False
    return math.isclose(sum(weights), 1, rel_tol=_FAR)


def _number(entry: Section, key: str, default: float | None = None) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        scientific = isinstance(value, str) and "e" in value.lower()
        remedy = "YAML needs a point and a sign: write 1e-3 as 1.0e-3." if scientific else ""
        raise entry.wrong(key, f"{key} is {value!r}", expected="a number", remedy=remedy)
    return value


def _check_range(entry: Section, distribution: str, numbers: dict[str, float]) -> None:
    low, high = numbers.get("min", 0), numbers.get("max", 1)
    if low >= high:
        raise entry.wrong("min", f"min {low} is not below max {high}")
    if distribution.endswith("_values") and low <= 0:
        raise entry.wrong("min", f"min is {low}", expected="more than 0, because the scale is logarithmic")
    if distribution == "int_uniform" and not all(isinstance(numbers[key], int) for key in ("min", "max")):
        raise entry.wrong("min", f"int_uniform from {low} to {high}", expected="integers")
    if (key := _too_large(distribution, numbers)) is not None:
        remedy = "Use log_uniform_values for values." if distribution.endswith("log_uniform") else ""
        raise entry.wrong(key, f"{key} is {numbers[key]}", expected="an exponent of e", remedy=remedy)
    for key in ("q", "sigma", "a", "b"):
        if numbers.get(key, 1) <= 0:
            raise entry.wrong(key, f"{key} is {numbers[key]}", expected="more than 0")


def _too_large(distribution: str, numbers: dict[str, float]) -> str | None:
    """The exponent that overflows a float, if any."""
    match distribution:
        case "log_uniform" | "q_log_uniform":
            return "max" if numbers["max"] > _MOST_EXPONENT else None
        case "inv_log_uniform":
            return "min" if -numbers["min"] > _MOST_EXPONENT else None
        case "log_normal" | "q_log_normal":
            highest = NormalDist(numbers["mu"], numbers["sigma"]).inv_cdf(1 - EDGE) if numbers["sigma"] > 0 else 0
            return "sigma" if highest > _MOST_EXPONENT else None
    return None
