"""Outcomes and the probabilities that a model gives them, with a known calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sailplane.evaluation.calibration import gaps

_MANY: Final = 4_000_000


@dataclass(frozen=True)
class Scored:
    """True probabilities from a beta distribution; the model adds to their logit and multiplies it."""

    a: float
    b: float
    added: float = 0.0
    times: float = 1.0

    def draw(self, random: np.random.Generator, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draws outcomes and their probabilities, [rows] each."""
        true = random.beta(self.a, self.b, rows).clip(1e-4, 1 - 1e-4)
        said = 1 / (1 + np.exp(-(self.times * np.log(true / (1 - true)) + self.added)))
        return (random.random(rows) < true).astype(np.float64), said

    def truth(self) -> float:
        """Returns the calibration error for many rows; 0 for a perfect model."""
        perfect = (self.added, self.times) == (0, 1)
        return 0.0 if perfect else gaps(*self.draw(np.random.default_rng(9), _MANY)).error


MODELS: Final = {
    "perfect": Scored(2, 4),
    "perfect, 10% positive": Scored(1, 9),
    "perfect, 3% positive": Scored(1, 30),
    "off by a little": Scored(2, 4, added=0.1),
    "off": Scored(2, 4, added=0.3),
    "far off": Scored(2, 4, added=1.2),
    "overconfident": Scored(2, 4, times=1.5),
    "overconfident, 85% positive": Scored(8, 1.5, times=1.4),
    "off, 10% positive": Scored(1, 9, added=0.3),
}
