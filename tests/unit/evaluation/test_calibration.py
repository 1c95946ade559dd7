from __future__ import annotations

import numpy as np
import pytest

from sailplane.evaluation.calibration import gaps
from tests.unit.evaluation.scores import MODELS

DRAWS = 300


def test_a_calibrated_probability_has_no_calibration_error() -> None:
    hit = np.tile([1, 0, 0, 0], 25)
    assert gaps(hit, np.full(100, 0.25)).error == 0
    assert gaps(hit, np.full(100, 0.75)).error == pytest.approx(0.5, abs=0.005)


def test_a_bin_holds_a_tenth_of_the_rows_and_equal_probabilities_share_one() -> None:
    assert gaps(np.zeros(200), np.linspace(0.1, 0.2, 200)).share.tolist() == pytest.approx([0.1] * 10)
    assert len(gaps(np.zeros(200), np.repeat([0.1, 0.9], 100)).share) == 2


def test_a_few_rows_have_fewer_bins_and_the_whole_error() -> None:
    assert gaps(np.zeros(6), np.linspace(0.89, 0.91, 6)).error == pytest.approx(0.9, abs=0.01)


def test_the_squared_error_of_a_perfect_model_is_0_on_average_where_the_plug_in_is_not() -> None:
    random, debiased, plug_in = np.random.default_rng(0), [], []
    for _ in range(DRAWS):
        found = gaps(*MODELS["perfect"].draw(random, 200))
        plug_in.append(float((found.share * found.mean**2).sum()))
        debiased.append(plug_in[-1] - float((found.share * found.variance).sum()))
    assert np.sqrt(np.mean(plug_in)) > 0.08
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / np.sqrt(DRAWS)


def test_no_interval_of_few_rows_ends_above_the_largest_error() -> None:
    found = gaps(np.array([0, 0, 1]), np.array([0.9, 0.9, 0.1])).estimate()
    assert found.high == 1


@pytest.mark.slow
@pytest.mark.parametrize("rows", [200, 6000])
@pytest.mark.parametrize("name", ["perfect", "off"])
def test_the_interval_covers_the_true_error(name: str, rows: int) -> None:
    """This test takes 300 draws; the soak test takes 1,000, with more models."""
    random, truth, held = np.random.default_rng(1), {"perfect": 0.0, "off": 0.0615}[name], 0
    for _ in range(DRAWS):
        got = gaps(*MODELS[name].draw(random, rows)).estimate()
        assert got.low is not None
        assert got.high is not None
        held += got.low <= truth <= got.high
    assert 0.91 <= held / DRAWS <= 0.985


def test_the_same_gap_everywhere_has_no_interval() -> None:
    assert gaps(np.zeros(100), np.full(100, 0.5)).estimate().low is None
