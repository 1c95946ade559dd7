from __future__ import annotations

import math

import pytest

from sailplane.errors import SweepFileError
from sailplane.records import Trial
from sailplane.sweeps.space import parse
from sailplane.sweeps.stopping import EarlyStopping, stop_early

FILE = "method: random\nmetric: {{name: loss}}\nrun_cap: 9\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n{}\n"


def rule(text: str) -> EarlyStopping:
    stopping = parse(FILE.format(text)).stopping
    assert stopping is not None
    return stopping


def trial(number: int, *values: float, state: str = "running") -> Trial:
    return Trial(sweep="s", number=number, config={}, state=state, values=values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("early_terminate: {type: hyperband, min_iter: 3}", (3, 9, 27, 81)),
        ("early_terminate: {type: hyperband, min_iter: 1, eta: 1.5}", (1, 2, 3, 5)),
        ("early_terminate: {type: hyperband, max_iter: 27, s: 2}", (3, 9)),
        ("early_terminate: {type: hyperband, max_iter: 5, s: 2, eta: 2}", (1, 2)),
        ("early_terminate: {type: hyperband, max_iter: 5, s: 9, eta: 2}", (1, 2)),
        ("sailplane: {asha: {}}", (1, 3, 9, 27)),
        ("sailplane: {asha: {min_iter: 2, eta: 2}}", (2, 4, 8, 16)),
    ],
)
def test_bands_are_those_of_the_file(text: str, bands: tuple[int, ...]) -> None:
    assert rule(text).bands[:4] == bands


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("early_terminate: {type: median}", "type is 'median'; expected one of hyperband"),
        ("early_terminate: {min_iter: 3}", "has no 'type'"),
        ("early_terminate: {type: hyperband}", "has no 'min_iter'"),
        ("early_terminate: {type: hyperband, max_iter: 9}", "has no 's'"),
        ("early_terminate: {type: hyperband, max_iter: 2, s: 1}", "no band is left; expected max_iter of at least 3"),
        ("early_terminate: {type: hyperband, min_iter: 0}", "min_iter is 0; expected a whole number of at least 1"),
        ("early_terminate: {type: hyperband, min_iter: 3, eta: 1}", "eta is 1; expected a number above 1"),
        ("early_terminate: {type: hyperband, min_iter: 3, strict: 1}", "strict is 1; expected true or false"),
        ("early_terminate: {type: hyperband, min_itr: 3}", "Did you mean 'min_iter'?"),
        ("early_terminate: {type: hyperband, min_iter: 3}\nsailplane: {asha: {}}", "asha beside early_terminate"),
        ("sailplane: {asha: {max_iter: 3}}", "unknown key 'max_iter'; expected one of min_iter, eta"),
    ],
)
def test_a_mistake_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(SweepFileError) as refused:
        rule(text)
    assert str(refused.value).startswith("sweep.yaml:")
    assert reason in str(refused.value)


def test_hyperband_stops_what_is_worse_than_the_best_part_at_its_last_band() -> None:
    """W&B's own example."""
    trials = [
        trial(0, 10, 9, state="finished"),
        trial(1, 10, 10),
        trial(2, 10, 8, 8),
        trial(3, 10, 7, 7),
        trial(4, 10, 6, 6, state="finished"),
    ]
    eager = rule("early_terminate: {type: hyperband, max_iter: 5, s: 2, eta: 2}")
    assert stop_early(eager, trials, maximize=False) == {1}


def test_without_strict_the_best_value_so_far_counts() -> None:
    trials = [trial(0, 1.0, state="finished"), trial(1, 5.0), trial(2, 0.5, 0.4, 9.0)]
    for strict, stopped in ((True, {1, 2}), (False, {1})):
        stopping = EarlyStopping(rule="hyperband", bands=(1, 3), eta=3, strict=strict)
        at_three = [*trials, trial(3, 1.0, 1.0, 1.0, state="finished")]
        assert stop_early(stopping, at_three, maximize=False) == stopped


def test_asha_keeps_the_best_part_of_those_that_reached_a_band_and_asks_once() -> None:
    asha = rule("sailplane: {asha: {min_iter: 2, eta: 2}}")
    there = [trial(0, 0.9, 0.1, state="finished"), trial(1, 0.5, 0.5, state="failed"), trial(2, 0.3, 0.7)]
    assert stop_early(asha, [*there, trial(3, 0.2, 0.4)], maximize=False) == {2}
    assert stop_early(asha, [*there, trial(3, 0.2, 0.6)], maximize=False) == {2, 3}
    assert stop_early(asha, [*there[:2], trial(2, 0.3, 0.7, 0.7)], maximize=False) == frozenset()


def test_the_first_at_a_band_goes_on() -> None:
    for text in ("early_terminate: {type: hyperband, min_iter: 1}", "sailplane: {asha: {}}"):
        assert stop_early(rule(text), [trial(0, 1.0)], maximize=True) == frozenset()


def test_the_goal_says_which_is_worse() -> None:
    for text in ("early_terminate: {type: hyperband, min_iter: 1}", "sailplane: {asha: {}}"):
        trials = [trial(0, 0.9, state="finished"), trial(1, 0.8)]
        assert stop_early(rule(text), trials, maximize=True) == {1}
        assert stop_early(rule(text), trials, maximize=False) == frozenset()


def test_values_that_are_no_numbers_do_not_count() -> None:
    stopping = rule("early_terminate: {type: hyperband, min_iter: 2}")
    trials = [trial(0, 1.0, 1.0, state="finished"), trial(1, math.nan, 5.0, math.inf)]
    assert stop_early(stopping, trials, maximize=False) == frozenset()
    assert stop_early(stopping, [trials[0], trial(1, math.nan, 5.0, math.inf, 5.0)], maximize=False) == {1}
