"""One parameter of a sweep: its W&B distribution, read from a file, and its quantile function.

Every distribution is a function of one number in [0, 1): random search draws that number, bayes searches it, so each
keeps W&B's exact meaning. Source: W&B's sweep configuration reference, and its engine `sweeps` (MIT).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Final

from scipy.special import betainc, betaincinv

from sailplane.errors import SweepFileError
from sailplane.records import Record
from sailplane.sweeps.document import Section

# distribution: the keys that it needs, and those that have a default
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
_EDGE: Final = 1e-12
_MOST_EXPONENT: Final = 709
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class Parameter(Record):
    """`path` leads to its place in the config; `values` are choices, `settings` the numbers of the distribution."""

    path: tuple[str, ...]
    distribution: str
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] = ()
    min: float = 0
    max: float = 0
    mu: float = 0
    sigma: float = 1
    a: float = 1
    b: float = 1
    q: float = 1

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def at(self, quantile: float) -> Any:
        """The value at a quantile in [0, 1]."""
        if self.values:
            return self.values[self._choice(quantile)]
        if self.distribution == "int_uniform":
            return min(math.floor(self.min + quantile * (self.max - self.min + 1)), int(self.max))
        value = self._continuous(min(max(quantile, _EDGE), 1 - _EDGE) if self._unbounded else quantile)
        return self._quantised(value) if self.distribution.startswith("q_") else value

    def quantile(self, value: Any) -> float:
        """The inverse of `at`; for a step of it, the middle of the step."""
        if self.values:
            edges = [0.0, *self._edges()]
            index = self.index(value)
            return (edges[index] + edges[index + 1]) / 2
        if self.distribution == "int_uniform":
            return float((value - self.min + 0.5) / (self.max - self.min + 1))
        return min(max(self._fraction(float(value)), 0.0), 1.0)

    def index(self, value: Any) -> int:
        """The place of a choice among the values; by JSON, because 1, 1.0 and true are equal in Python."""
        return [json.dumps(choice) for choice in self.values].index(json.dumps(value))

    def grid(self) -> tuple[Any, ...] | None:
        """All values, or None where there is no end of them."""
        if self.distribution in ("constant", "categorical"):
            return self.values
        if self.distribution == "int_uniform":
            return tuple(range(int(self.min), int(self.max) + 1))
        if self.distribution == "q_uniform":  # like W&B's numpy.arange: max is not one of them
            return tuple(self.min + n * self.q for n in range(math.ceil((self.max - self.min) / self.q)))
        return None

    @property
    def _unbounded(self) -> bool:
        return "normal" in self.distribution

    @property
    def _is_beta(self) -> bool:
        return self.distribution.endswith("beta")

    @property
    def _bounds(self) -> tuple[float, float]:
        """In the space in which the distribution is uniform."""
        if self.distribution.endswith("_values"):
            return math.log(self.min), math.log(self.max)
        if self.distribution == "inv_log_uniform":
            return -self.max, -self.min
        return self.min, self.max

    def _continuous(self, quantile: float) -> float:
        if self._unbounded:
            value = NormalDist(self.mu, self.sigma).inv_cdf(quantile)
        elif self._is_beta:
            value = float(betaincinv(self.a, self.b, quantile))
        else:
            low, high = self._bounds
            value = low + quantile * (high - low)
        return math.exp(value) if "log" in self.distribution else value

    def _fraction(self, value: float) -> float:
        # Rounding may have given a 0 that has no logarithm.
        value = math.log(max(value, 5e-324)) if "log" in self.distribution else value
        if self._unbounded:
            return NormalDist(self.mu, self.sigma).cdf(value)
        if self._is_beta:
            return float(betainc(self.a, self.b, min(max(value, 0.0), 1.0)))
        low, high = self._bounds
        return (value - low) / (high - low) if high > low else 0.5

    def _quantised(self, value: float) -> float:
        return round(value / self.q) * self.q

    def _choice(self, quantile: float) -> int:
        return next((n for n, edge in enumerate(self._edges()) if quantile < edge), len(self.values) - 1)

    def _edges(self) -> list[float]:
        weights = self.probabilities or (1 / len(self.values),) * len(self.values)
        return list(accumulate(weights))


def read_parameters(section: Section, path: tuple[str, ...] = ()) -> tuple[Parameter, ...]:
    """The parameters of a `parameters:` section, nested ones included, in the order of their names."""
    if not section.names():
        raise SweepFileError(f"{section.file}:{section.line}", got="no parameters", expected="at least one")
    found: list[Parameter] = []
    for name in sorted(section.names()):
        if not _NAME.fullmatch(name):
            expected = "letters, digits, _ . and -, not beginning with a digit"
            raise section.wrong(name, f"a parameter is called {name!r}", expected=expected)
        place = (*path, name)
        entry = section.section(name, f"parameter {'.'.join(place)!r}")
        entry.allow(KEYS)
        if "parameters" in entry:
            entry.allow(("parameters",))
            found += read_parameters(entry.section("parameters"), place)
        else:
            found.append(_read(entry, place))
    return tuple(found)


def _read(entry: Section, path: tuple[str, ...]) -> Parameter:
    distribution = _distribution(entry)
    needed, defaults = DISTRIBUTIONS[distribution]
    entry.require(*needed)
    entry.allow(("distribution", *needed, *defaults))
    if distribution == "constant":
        return Parameter(path=path, distribution=distribution, values=(entry.get("value"),))
    if "values" in needed:
        return _read_choices(entry, path, distribution)
    numbers = {key: _number(entry, key, defaults.get(key)) for key in (*needed, *defaults)}
    _check_range(entry, distribution, numbers)
    return Parameter(path=path, distribution=distribution, **numbers)  # type: ignore[arg-type]


def _distribution(entry: Section) -> str:
    """W&B's rule where none is named: two ints give int_uniform, two floats uniform, a mix is ambiguous."""
    if "distribution" in entry:
        return entry.choice("distribution", DISTRIBUTIONS)
    if "value" in entry:
        return "constant"
    if "values" in entry:
        return "categorical_w_probabilities" if "probabilities" in entry else "categorical"
    if not ("min" in entry and "max" in entry):
        raise SweepFileError(
            f"{entry.file}:{entry.line}",
            got=f"{entry.name} does not say what it may be",
            expected="value, values, min and max, or a distribution",
        )
    kinds = {type(_number(entry, key)) for key in ("min", "max")}
    if len(kinds) > 1:
        got = f"{entry.name} goes from {entry.get('min')} to {entry.get('max')}: one integer, one float"
        raise entry.wrong(
            "min", got, expected="two of a kind", remedy="Write both as floats, or name the distribution."
        )
    return "int_uniform" if kinds == {int} else "uniform"


def _read_choices(entry: Section, path: tuple[str, ...], distribution: str) -> Parameter:
    values, weights = entry.get("values"), entry.get("probabilities", [])
    if not isinstance(values, list) or not values:
        raise entry.wrong("values", f"values is {values!r}", expected="a list of at least one")
    if weights and (
        len(weights) != len(values)
        or any(isinstance(w, bool) or not isinstance(w, (int, float)) or w < 0 for w in weights)
        or abs(sum(weights) - 1) > 1e-6
    ):
        got = f"probabilities are {weights}"
        raise entry.wrong("probabilities", got, expected=f"{len(values)} numbers that add up to 1")
    return Parameter(path=path, distribution=distribution, values=tuple(values), probabilities=tuple(weights))


def _number(entry: Section, key: str, default: float | None = None) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        scientific = isinstance(value, str) and "e" in value.lower()
        remedy = "YAML wants a point and a sign: write 1e-3 as 1.0e-3." if scientific else ""
        raise entry.wrong(key, f"{key} is {value!r}", expected="a number", remedy=remedy)
    return value


def _check_range(entry: Section, distribution: str, numbers: dict[str, float]) -> None:
    low, high = numbers.get("min", 0), numbers.get("max", 1)
    if low >= high:
        raise entry.wrong("min", f"min {low} is not below max {high}")
    if distribution.endswith("_values") and low <= 0:
        raise entry.wrong("min", f"min is {low}", expected="more than 0, because the values are taken as logarithms")
    if distribution == "int_uniform" and not all(isinstance(numbers[key], int) for key in ("min", "max")):
        raise entry.wrong("min", f"int_uniform from {low} to {high}", expected="integers")
    if (key := _too_large(distribution, numbers)) is not None:
        remedy = "Use log_uniform_values for values." if distribution.endswith("log_uniform") else ""
        raise entry.wrong(key, f"{key} is {numbers[key]}", expected="an exponent of e", remedy=remedy)
    for key in ("q", "sigma", "a", "b"):
        if numbers.get(key, 1) <= 0:
            raise entry.wrong(key, f"{key} is {numbers[key]}", expected="more than 0")


def _too_large(distribution: str, numbers: dict[str, float]) -> str | None:
    """The exponent that gives more than a float holds."""
    match distribution:
        case "log_uniform" | "q_log_uniform":
            return "max" if numbers["max"] > _MOST_EXPONENT else None
        case "inv_log_uniform":
            return "min" if -numbers["min"] > _MOST_EXPONENT else None
        case "log_normal" | "q_log_normal":
            highest = NormalDist(numbers["mu"], numbers["sigma"]).inv_cdf(1 - _EDGE) if numbers["sigma"] > 0 else 0
            return "sigma" if highest > _MOST_EXPONENT else None
    return None
