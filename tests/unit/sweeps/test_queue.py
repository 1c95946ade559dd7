from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.errors import ConfigurationError, TrainingError
from sailplane.ledger import Ledger
from sailplane.sweeps import queue
from sailplane.sweeps.space import SweepConfig, parse

TEXT = (
    "method: {method}\nmetric: {{name: auc, goal: {goal}}}\nparameters:\n  x: {{min: 0.0, max: 1.0}}\nrun_cap: {cap}\n"
)


def config(cap: int = 3, method: str = "random", goal: str = "maximize") -> SweepConfig:
    return parse(TEXT.format(method=method, goal=goal, cap=cap))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(url)


def test_exactly_run_cap_trials_are_given(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(3))
    given = [queue.ask(ledger, "s", "w") for _ in range(5)]
    assert [trial.number if trial else None for trial in given] == [0, 1, 2, None, None]


def test_creating_a_sweep_again_keeps_its_trials(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(3))
    queue.ask(ledger, "s", "w")
    queue.create_sweep(ledger, "s", config(3))
    assert len(queue.trials(ledger, "s")) == 1


def test_a_sweep_that_exists_with_another_configuration_is_refused(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(3))
    with pytest.raises(ConfigurationError, match="it exists with another configuration"):
        queue.create_sweep(ledger, "s", config(4))


def test_a_sweep_without_an_end_is_refused(ledger: Ledger) -> None:
    endless = parse("method: random\nmetric: {name: a}\nparameters: {x: {min: 0.0, max: 1.0}}\n")
    with pytest.raises(ConfigurationError, match="method random without run_cap"):
        queue.create_sweep(ledger, "s", endless)


def test_a_sweep_that_nobody_created_is_named(ledger: Ledger) -> None:
    with pytest.raises(ConfigurationError, match="find sweep s"):
        queue.ask(ledger, "s", "w")


@pytest.mark.parametrize(("goal", "expected"), [("maximize", 1), ("minimize", 0)])
def test_the_best_is_by_the_goal_and_the_earlier_of_equals(ledger: Ledger, goal: str, expected: int) -> None:
    queue.create_sweep(ledger, "s", config(3, goal=goal))
    for score in (0.1, 0.9, 0.9):
        trial = queue.ask(ledger, "s", "w")
        assert trial is not None
        assert queue.finish(ledger, trial, "w", score)
    assert queue.best_trial(ledger, "s").number == expected


def test_a_score_that_is_no_number_is_a_failed_trial(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(1))
    trial = queue.ask(ledger, "s", "w")
    assert trial is not None
    assert queue.finish(ledger, trial, "w", float("nan"))
    assert queue.failures(ledger, "s") == {0: "its score is nan"}


def test_a_sweep_in_which_all_trials_failed_says_why(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(2))
    for reason in ("no memory", "no luck"):
        trial = queue.ask(ledger, "s", "w")
        assert trial is not None
        queue.fail(ledger, trial, "w", reason)
    with pytest.raises(TrainingError, match=r"none of its 2 trials finished\ntrial 0: no memory\ntrial 1: no luck"):
        queue.best(ledger, "s")


def test_a_lease_that_ended_gives_the_same_trial_to_the_next_who_asks(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(1))
    lost = queue.ask(ledger, "s", "dead", lease_seconds=0)
    again = queue.ask(ledger, "s", "alive")
    assert again == lost
    assert lost is not None
    assert not queue.heartbeat(ledger, lost, "dead")
    assert not queue.finish(ledger, lost, "dead", 0.1)
    assert queue.finish(ledger, lost, "alive", 0.9)
    assert [trial.score for trial in queue.trials(ledger, "s")] == [0.9]


def test_a_heartbeat_keeps_the_trial(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(1))
    trial = queue.ask(ledger, "s", "w", lease_seconds=0)
    assert trial is not None
    assert queue.heartbeat(ledger, trial, "w")
    assert queue.ask(ledger, "s", "other") is None
    assert queue.is_open(ledger, "s")


def test_a_trial_that_is_given_back_is_given_at_once(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(1))
    trial = queue.ask(ledger, "s", "w")
    assert trial is not None
    assert queue.release(ledger, trial, "w")
    assert queue.ask(ledger, "s", "other") == trial


def test_a_trial_that_kills_every_worker_is_given_up(ledger: Ledger) -> None:
    queue.create_sweep(ledger, "s", config(1))
    given = [queue.ask(ledger, "s", f"w{n}", lease_seconds=0) for n in range(queue.MOST_ATTEMPTS + 1)]
    assert [trial is not None for trial in given] == [True] * queue.MOST_ATTEMPTS + [False]
    assert "3 workers died of it: w0 lost it; w1 lost it; w2 lost it" in queue.failures(ledger, "s")[0]
