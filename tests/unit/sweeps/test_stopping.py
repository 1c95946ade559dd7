from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sailplane.errors import SweepFileError
from sailplane.records import Trial
from sailplane.sweeps.space import parse
from sailplane.sweeps.stopping import EarlyStopping, stop_early
from tests.learning_curves import FAMILIES, play, well_behaved

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
        ("early_terminate: {type: hyperband, max_iter: 2, s: 1}", "no bands remain; expected max_iter of at least 3"),
        ("early_terminate: {type: hyperband, min_iter: 0}", "min_iter is 0; expected a whole number of at least 1"),
        ("early_terminate: {type: hyperband, min_iter: 3, eta: 1}", "eta is 1; expected a number above 1"),
        ("early_terminate: {type: hyperband, min_iter: 3, strict: 1}", "strict is 1; expected true or false"),
        ("early_terminate: {type: hyperband, min_itr: 3}", "Did you mean 'min_iter'?"),
        ("early_terminate: {type: hyperband, min_iter: 3}\nsailplane: {asha: {}}", "both asha and early_terminate"),
        ("sailplane: {asha: {patience: 0}}", "patience is 0; expected a whole number of at least 1"),
        ("sailplane: {asha: {whole_trials: 4}}", "whole_trials is 4; expected a whole number of at least 5"),
        (
            "early_terminate: {type: hyperband, min_iter: 3, patience: 2}",
            "unknown key 'patience'; expected one of type, min_iter, max_iter, s, eta, strict",
        ),
        ("sailplane: {asha: {max_iter: 3}}", "unknown key 'max_iter'; expected one of min_iter, eta"),
    ],
)
def test_a_mistake_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(SweepFileError) as refused:
        rule(text)
    assert str(refused.value).startswith("sweep.yaml:")
    assert reason in str(refused.value)


def test_hyperband_stops_what_is_worse_than_the_best_part_at_its_last_band() -> None:
    """This is W&B's own example."""
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


def test_with_patience_a_trial_stops_only_below_the_cut_at_several_bands_in_a_row() -> None:
    patient = rule("sailplane: {asha: {min_iter: 1, eta: 2, patience: 2}}")
    there = [trial(number, *values, state="finished") for number, values in enumerate([(0.1, 0.1), (0.2, 0.2)])]
    for values, stopped in (((0.5,), set()), ((0.5, 0.5), {2}), ((0.5, 0.05), set()), ((0.05, 0.5), set())):
        assert stop_early(patient, [*there, trial(2, *values)], maximize=False) == stopped
    impatient = rule("sailplane: {asha: {min_iter: 1, eta: 2}}")
    assert stop_early(impatient, [*there, trial(2, 0.5)], maximize=False) == {2}


def whole(*finals: float, early: tuple[float, ...] | None = None) -> list[Trial]:
    """Returns trials that ran to their end, with two values each."""
    values = zip(early or finals, finals, strict=True)
    found = [trial(number, *both, state="finished") for number, both in enumerate(values)]
    return [replace(one, score=one.values[-1]) for one in found]


CHOOSY = "sailplane: {asha: {min_iter: 1, eta: 2, whole_trials: 6}}"


@pytest.mark.parametrize(("early", "stopped"), [((1, 2, 3, 4, 5, 6), {6}), ((6, 5, 4, 3, 2, 1), set())])
def test_a_band_stops_trials_only_if_it_ranks_whole_trials_as_the_end_does(
    early: tuple[float, ...], stopped: set[int]
) -> None:
    for sign, maximize in ((1, False), (-1, True)):
        found = whole(*(sign * n for n in range(1, 7)), early=tuple(sign * value for value in early))
        loser = trial(6, sign * 9.0)
        assert stop_early(rule(CHOOSY), [*found, loser], maximize=maximize) == stopped


def test_until_the_whole_trials_have_ended_none_is_stopped() -> None:
    found, loser = whole(1, 2, 3, 4, 5, 6), trial(6, 9.0)
    running = replace(found[2], state="running", score=None)
    assert stop_early(rule(CHOOSY), [*found[:2], running, *found[3:], loser], maximize=False) == frozenset()
    assert stop_early(rule(CHOOSY), [*found[:5], replace(loser, number=5)], maximize=False) == frozenset()


def test_a_trial_that_fails_is_no_whole_trial_and_the_next_one_takes_its_place() -> None:
    found = whole(1, 2, 3, 4, 5, 6, 7)
    failed = replace(found[0], state="failed", score=None)
    assert stop_early(rule(CHOOSY), [failed, *found[1:], trial(7, 9.0)], maximize=False) == {7}
    last = replace(found[6], state="running", score=None, values=(9.0,))
    assert stop_early(rule(CHOOSY), [failed, *found[1:6], last], maximize=False) == frozenset()


def test_a_rule_recorded_before_these_settings_is_read() -> None:
    known = EarlyStopping.from_dict({"rule": "asha", "bands": [1, 3], "eta": 3.0, "strict": True})
    assert (known.patience, known.whole_trials) == (1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["noisy", "best learns slowest"])
def test_patience_and_whole_trials_stop_the_true_best_more_rarely(family: str) -> None:
    """There are 60 sweeps of 30 trials here, and more in tests/soak."""
    plain, careful = rule("sailplane: {asha: {}}"), rule("sailplane: {asha: {patience: 2, whole_trials: 8}}")
    drawn = [FAMILIES[family](np.random.default_rng(seed)) for seed in range(60)]
    lost = {one: sum(play(curves, one).best_stopped for curves in drawn) for one in (plain, careful)}
    assert lost[plain] >= 20
    assert lost[careful] <= 3


@pytest.mark.slow
def test_where_ranks_hold_they_still_save_a_third() -> None:
    careful = rule("sailplane: {asha: {patience: 2, whole_trials: 8}}")
    played = [play(well_behaved(np.random.default_rng(seed)), careful) for seed in range(20)]
    assert not any(one.best_stopped for one in played)
    assert sum(one.cost for one in played) / 20 < 0.67


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
