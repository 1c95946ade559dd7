"""How often the interval of the calibration error covers the true error. Prints `claim | measured | draws`."""

from __future__ import annotations

import numpy as np
import pytest

from sailplane.evaluation.calibration import gaps
from tests.unit.evaluation.scores import MODELS

DRAWS = 1000
# Two standard errors of a share of 5% in 1,000 draws.
CHANCE = 0.014


@pytest.mark.parametrize("rows", [200, 1000, 6000])
@pytest.mark.parametrize("name", MODELS)
def test_the_interval_covers_the_true_calibration_error(name: str, rows: int) -> None:
    model, random = MODELS[name], np.random.default_rng(3)
    truth, covered = model.truth(), 0
    for _ in range(DRAWS):
        got = gaps(*model.draw(random, rows)).estimate()
        covered += got.low is not None and got.high is not None and got.low <= truth <= got.high
    claim = f"calibration error of {truth:.4f}, {rows} rows, {name}: 95% interval covers 93 to 97%"
    print(f"{claim} | {covered / DRAWS:.1%} | {DRAWS}")
    assert 0.93 - CHANCE <= covered / DRAWS <= 0.97 + CHANCE


@pytest.mark.parametrize("rows", [200, 1000, 6000])
def test_a_perfect_model_shows_less_error_than_by_the_plug_in_estimate(rows: int) -> None:
    random, debiased, plug_in = np.random.default_rng(4), [], []
    for _ in range(DRAWS):
        found = gaps(*MODELS["perfect"].draw(random, rows))
        debiased.append(found.error)
        plug_in.append(float(np.sqrt((found.share * np.square(found.mean)).sum())))
    means = np.mean(debiased), np.mean(plug_in)
    print(f"calibration error of a perfect model, {rows} rows | {means[0]:.4f}, plug-in {means[1]:.4f} | {DRAWS}")
    assert means[0] < means[1] / 2
