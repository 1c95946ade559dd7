"""One parameter of a sweep: its W&B distribution, and its quantile function.

Every distribution is a function of one number in [0, 1): random search draws it and bayes searches it, so each keeps
W&B's exact meaning. Source: W&B's sweep configuration reference, and its engine `sweeps` (MIT).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Final

from sailplane.records import Record

# Unbounded distributions use this quantile instead of 0, and its complement instead of 1.
EDGE: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Parameter(Record):
    """A parameter of the search. `path` are its keys in the configuration, `values` its choices; the numbers belong to
    the distribution."""

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

    def of(self, config: Mapping[str, Any]) -> Any:
        """Its value in a trial's configuration."""
        value: Any = config
        for key in self.path:
            value = value[key]
        return value

    def at(self, quantile: float) -> Any:
        """The value at a quantile in [0, 1]."""
        if self.values:
            return self.values[self._choice(quantile)]
        if self.distribution == "int_uniform":
            return min(math.floor(self.min + quantile * (self.max - self.min + 1)), int(self.max))
        value = self._continuous(min(max(quantile, EDGE), 1 - EDGE) if self._unbounded else quantile)
        return self._quantised(value) if self.distribution.startswith("q_") else value

    def quantile(self, value: Any) -> float:
        """The inverse of `at`; for a step, the middle of the step."""
        if self.values:
            edges = [0.0, *self._edges()]
            index = self.index(value)
            return (edges[index] + edges[index + 1]) / 2
        if self.distribution == "int_uniform":
            return float((value - self.min + 0.5) / (self.max - self.min + 1))
        return min(max(self._fraction(float(value)), 0.0), 1.0)

    def index(self, value: Any) -> int:
        """The index of a choice in the values; compared as JSON, because 1, 1.0 and true are equal in Python."""
        return [json.dumps(choice) for choice in self.values].index(json.dumps(value))

    def grid(self) -> tuple[Any, ...] | None:
        """All values; None if there are infinitely many."""
        if self.distribution in ("constant", "categorical"):
            return self.values
        if self.distribution == "int_uniform":
            return tuple(range(int(self.min), int(self.max) + 1))
        if self.distribution == "q_uniform":  # like W&B's numpy.arange, without max
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
        """The bounds on the scale on which the distribution is uniform."""
        if self.distribution.endswith("_values"):
            return math.log(self.min), math.log(self.max)
        if self.distribution == "inv_log_uniform":
            return -self.max, -self.min
        return self.min, self.max

    def _continuous(self, quantile: float) -> float:
        if self._unbounded:
            value = NormalDist(self.mu, self.sigma).inv_cdf(quantile)
        elif self._is_beta:
            # Imported here, because the UI's server reads sweeps without needing scipy.
            from scipy.special import betaincinv

            value = float(betaincinv(self.a, self.b, quantile))
        else:
            low, high = self._bounds
            value = low + quantile * (high - low)
        return math.exp(value) if "log" in self.distribution else value

    def _fraction(self, value: float) -> float:
        # Rounding may give 0, which has no logarithm.
        value = math.log(max(value, 5e-324)) if "log" in self.distribution else value
        if self._unbounded:
            return NormalDist(self.mu, self.sigma).cdf(value)
        if self._is_beta:
            from scipy.special import betainc

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
