from __future__ import annotations

import pytest

from sailplane.training.limits import TrialLimits


@pytest.mark.parametrize(
    ("ran", "is_up", "hangs"), [(60.0, False, False), (61.0, True, False), (70.0, True, False), (70.1, True, True)]
)
def test_a_trial_gets_a_while_to_end_with_what_it_reached(ran: float, is_up: bool, hangs: bool) -> None:
    limits = TrialLimits.of(60.0, longest=0.0, silence=5.0)
    assert limits.is_up(ran) is is_up
    assert bool(limits.exceeded(ran, silent=ran)) is hangs


@pytest.mark.parametrize(
    ("longest", "silent", "hangs"), [(0, 3600, False), (0, 3601, True), (600, 6000, False), (600, 6001, True)]
)
def test_silence_is_measured_by_what_other_trials_took(longest: float, silent: float, hangs: bool) -> None:
    limits = TrialLimits.of(None, longest)
    assert not limits.is_up(1e9)
    assert ("counts as hung. If it needs that long, set max_trial_time" in limits.exceeded(1e9, silent)) is hangs
