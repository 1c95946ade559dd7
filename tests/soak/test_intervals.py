"""Coverage of the intervals, and how often an equal model would be promoted."""

from __future__ import annotations

import pytest

from tests.unit.evaluation.days import Days, covered, outside

DRAWS = 1000
# Three standard errors of a share of 5% in 1,000 draws.
CHANCE = 0.021
CASES = {
    "7 equal days of 300, no day effect": (Days([300] * 7), False),
    "7 equal days of 300, own errors": (Days([300] * 7, own=0.5), False),
    "7 equal days of 300, common effect": (Days([300] * 7, common=0.7), False),
    "7 equal days of 30, own errors": (Days([30] * 7, own=0.5), False),
    "2 equal days of 100, own errors": (Days([100] * 2, own=0.5), False),
    "40 equal days of 50, own errors": (Days([50] * 40, own=0.5), False),
    "300 rows, each for itself": (Days([1] * 300), False),
    "7 days of 850, own errors": (Days([850] * 7, own=0.2), False),
    "7 days, 10:1, own errors": (Days([1000, *[100] * 6], own=0.5), True),
    "7 days, 10:1, no day effect": (Days([1000, *[100] * 6]), True),
    "4 classes, 7 days of 100, own errors": (Days([100] * 7, own=0.5, classes=4), False),
}


@pytest.mark.parametrize("case", CASES)
def test_intervals_hold(case: str) -> None:
    """With very unequal clusters the coverage may exceed 97%, which errs on the safe side."""
    days, wide = CASES[case]
    for name, (both, one) in outside(days, DRAWS, seed=2).items():
        print(f"{case}: {name} | coverage {1 - both:.3f}, false promotions {one:.3f} | {DRAWS}")
        assert 0.93 <= 1 - both <= (1 if wide else 0.97)
        assert one <= 0.05 + CHANCE


@pytest.mark.parametrize("case", [case for case, (_, wide) in CASES.items() if not wide])
def test_the_interval_of_a_single_metric_holds(case: str) -> None:
    """The calibration error has a separate test."""
    for name, share in covered(CASES[case][0], DRAWS, seed=5).items():
        print(f"{case}: {name} of one model | coverage {share:.3f} | {DRAWS}")
        assert 0.93 - CHANCE <= share <= 0.97 + CHANCE
