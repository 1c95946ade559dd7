from __future__ import annotations

import pytest

from sailplane.deployment.http_client import wait_until
from sailplane.errors import ConfigurationError, TrainingError
from sailplane.ledger import Ledger
from sailplane.records import Trial
from sailplane.sweeps import lifecycle, queue, results
from sailplane.sweeps.space import SweepConfig, parse

TEXT = (
    "method: {method}\nmetric: {{name: auc, goal: {goal}}}\nparameters:\n  x: {{min: 0.0, max: 1.0}}\nrun_cap: {cap}\n"
)


def config(cap: int = 3, method: str = "random", goal: str = "maximize") -> SweepConfig:
    return parse(TEXT.format(method=method, goal=goal, cap=cap))


def test_exactly_run_cap_trials_are_given(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(3))
    given = [queue.ask(ledger, "s", "w") for _ in range(5)]
    assert [trial.number if trial else None for trial in given] == [0, 1, 2, None, None]


def test_creating_a_sweep_again_keeps_its_trials(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(3))
    queue.ask(ledger, "s", "w")
    lifecycle.create(ledger, "s", config(3))
    assert len(results.trials(ledger, "s")) == 1


@pytest.mark.parametrize(("seed", "expected"), [("", 3), ("sailplane: {seed: 7}\n", 7), ("sailplane: {seed: 0}\n", 0)])
def test_the_files_seed_goes_before_the_callers(ledger: Ledger, seed: str, expected: int) -> None:
    lifecycle.create(ledger, "s", parse(TEXT.format(method="random", goal="maximize", cap=3) + seed), seed=3)
    assert results.read(ledger, "s").seed == expected


def test_a_sweep_that_exists_with_another_configuration_is_refused(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(3))
    with pytest.raises(ConfigurationError, match="it exists with another configuration"):
        lifecycle.create(ledger, "s", config(4))


def test_a_sweep_without_an_end_is_refused(ledger: Ledger) -> None:
    endless = parse("method: random\nmetric: {name: a}\nparameters: {x: {min: 0.0, max: 1.0}}\n")
    with pytest.raises(ConfigurationError, match="method random without run_cap"):
        lifecycle.create(ledger, "s", endless)


def test_a_sweep_that_nobody_created_is_named(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="find sweep s"):
        queue.ask(ledger, "s", "w")


@pytest.mark.parametrize(("goal", "expected"), [("maximize", 1), ("minimize", 0)])
def test_the_best_is_by_the_goal_and_the_earlier_of_equals(ledger: Ledger, goal: str, expected: int) -> None:
    lifecycle.create(ledger, "s", config(3, goal=goal))
    for score in (0.1, 0.9, 0.9):
        trial = queue.ask(ledger, "s", "w")
        assert trial is not None
        assert queue.finish(ledger, trial, "w", score)
    assert results.best_trial(ledger, "s").number == expected


def test_a_score_that_is_no_number_is_a_failed_trial(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(1))
    trial = queue.ask(ledger, "s", "w")
    assert trial is not None
    assert queue.finish(ledger, trial, "w", float("nan"))
    assert results.failures(ledger, "s") == {0: "its score is nan"}


def test_a_sweep_in_which_all_trials_failed_says_why(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(2))
    for reason in ("no memory", "no luck"):
        trial = queue.ask(ledger, "s", "w")
        assert trial is not None
        queue.fail(ledger, trial, "w", reason)
    with pytest.raises(TrainingError, match=r"none of its 2 trials finished\ntrial 0: no memory\ntrial 1: no luck"):
        results.best(ledger, "s")


def test_a_lease_that_ended_gives_the_same_trial_to_the_next_who_asks(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(1))
    lost = queue.ask(ledger, "s", "dead", lease_seconds=0)
    again = queue.ask(ledger, "s", "alive")
    assert again == lost
    assert lost is not None
    assert not queue.heartbeat(ledger, lost, "dead")
    assert not queue.finish(ledger, lost, "dead", 0.1)
    assert queue.finish(ledger, lost, "alive", 0.9)
    assert [trial.score for trial in results.trials(ledger, "s")] == [0.9]


def test_a_heartbeat_keeps_the_trial(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(1))
    trial = queue.ask(ledger, "s", "w", lease_seconds=0)
    assert trial is not None
    assert queue.heartbeat(ledger, trial, "w")
    assert queue.ask(ledger, "s", "other") is None
    assert results.is_open(ledger, "s")


def test_a_trial_that_is_given_back_is_given_at_once(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(1))
    trial = queue.ask(ledger, "s", "w")
    assert trial is not None
    assert queue.release(ledger, trial, "w")
    assert queue.ask(ledger, "s", "other") == trial


def test_a_trial_that_kills_every_worker_is_given_up(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", config(1))
    given = [queue.ask(ledger, "s", f"w{n}", lease_seconds=0) for n in range(queue.MOST_ATTEMPTS + 1)]
    assert [trial is not None for trial in given] == [True] * queue.MOST_ATTEMPTS + [False]
    assert "the trial killed 3 workers: w0 lost it; w1 lost it; w2 lost it" in results.failures(ledger, "s")[0]


def begun(ledger: Ledger, text: str) -> Trial:
    lifecycle.create(ledger, "s", parse(text))
    trial = queue.ask(ledger, "s", "w")
    assert trial is not None
    return trial


def test_what_a_trial_reports_is_kept_and_a_later_attempt_replaces_it(ledger: Ledger) -> None:
    trial = begun(ledger, TEXT.format(method="random", goal="maximize", cap=2))
    for step, value in enumerate((0.1, 0.2, 0.3)):
        assert not queue.report(ledger, trial, "w", step, value)
    queue.release(ledger, trial, "w")
    assert queue.ask(ledger, "s", "other") == trial
    assert not queue.report(ledger, trial, "other", 1, 0.25)
    assert not queue.report(ledger, trial, "other", 2, float("nan"))
    assert results.trials(ledger, "s")[0].values == (0.1, 0.25)


def test_who_lost_a_trial_reports_nothing_and_is_told_to_stop(ledger: Ledger) -> None:
    trial = begun(ledger, TEXT.format(method="random", goal="maximize", cap=2))
    queue.release(ledger, trial, "w")
    queue.ask(ledger, "s", "other")
    assert queue.report(ledger, trial, "w", 0, 0.1)
    assert results.trials(ledger, "s")[0].values == ()


def test_a_loser_is_told_to_stop_and_a_winner_is_not(ledger: Ledger) -> None:
    text = TEXT.format(method="random", goal="maximize", cap=4) + "early_terminate: {type: hyperband, min_iter: 2}\n"
    first = begun(ledger, text)
    for step, value in enumerate((0.1, 0.5)):
        assert not queue.report(ledger, first, "w", step, value)
    queue.finish(ledger, first, "w", 0.5)
    second = queue.ask(ledger, "s", "w")
    assert second is not None
    assert [queue.report(ledger, second, "w", step, value) for step, value in enumerate((0.0, 0.4, 0.6))] == [
        False, True, True,
    ]  # fmt: skip
    third = queue.ask(ledger, "s", "other")
    assert third is not None
    assert not any(queue.report(ledger, third, "other", step, value) for step, value in enumerate((0.0, 0.7, 0.1)))


def test_the_sweep_ends_with_the_first_trial_that_reaches_the_target(ledger: Ledger) -> None:
    text = TEXT.format(method="random", goal="maximize, target: 0.8", cap=4)
    first = begun(ledger, text)
    second = queue.ask(ledger, "s", "other")
    assert second is not None
    assert not queue.report(ledger, first, "w", 0, 0.79)
    assert queue.report(ledger, first, "w", 1, 0.8)
    assert queue.report(ledger, second, "other", 0, 0.1)
    assert lifecycle.is_over(ledger, "s")
    assert queue.finish(ledger, first, "w", 0.8)
    assert queue.ask(ledger, "s", "w") is None
    assert results.stopped(ledger, "s") == "trial 0 reached the target with 0.8"


def test_a_stopped_sweep_gives_no_more_trials_and_counts_what_there_is(ledger: Ledger) -> None:
    trial = begun(ledger, TEXT.format(method="random", goal="maximize", cap=4))
    lost = queue.ask(ledger, "s", "dead", lease_seconds=0)
    assert lost is not None
    lifecycle.stop(ledger, "s", "enough")
    lifecycle.stop(ledger, "s", "more than enough")
    assert queue.ask(ledger, "s", "other") is None
    assert queue.report(ledger, trial, "w", 0, 0.3)
    assert queue.finish(ledger, trial, "w", 0.3)
    assert not results.is_open(ledger, "s")
    assert results.failures(ledger, "s") == {1: "its worker died, and the sweep had ended"}
    assert (results.best_trial(ledger, "s").number, results.stopped(ledger, "s")) == (0, "enough")


def test_a_sweep_whose_time_is_up_is_over(ledger: Ledger) -> None:
    text = "method: random\nmetric: {name: a}\nparameters: {x: {min: 0.0, max: 1.0}}\nsailplane: {max_time: 0.3s}\n"
    trial = begun(ledger, text)
    assert not queue.report(ledger, trial, "w", 0, 1.0)
    assert wait_until(lambda: lifecycle.is_over(ledger, "s"), seconds=20)
    assert queue.report(ledger, trial, "w", 1, 1.0)
    assert queue.ask(ledger, "s", "w") is None


def test_sweeps_are_listed_the_newest_first(ledger: Ledger) -> None:
    for name in ("b", "a", "c"):
        lifecycle.create(ledger, name, config(3))
    assert results.names(ledger) == ["c", "a", "b"]
