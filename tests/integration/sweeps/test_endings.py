"""Sweeps that are closed, shared and restarted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sailplane.errors import ConfigurationError
from sailplane.ledger import Ledger
from sailplane.records import Dataset, Interval, Run
from sailplane.sweep_server import tokens
from sailplane.sweeps import lifecycle, queue, results
from sailplane.sweeps.space import parse

TEXT = "method: random\nmetric: {name: auc, goal: maximize}\nparameters:\n  x: {min: 0.0, max: 1.0}\nrun_cap: 2\n"
DAY = datetime(2026, 3, 1, tzinfo=UTC)
DATASET = Dataset(
    name="toy",
    version="1",
    uri="file:///toy",
    interval=Interval(start=DAY - timedelta(days=28), end=DAY),
    rows=1,
    quarantined=0,
    schema=(),
)


def finish(ledger: Ledger, score: float) -> None:
    trial = queue.ask(ledger, "s", "w")
    assert trial is not None
    queue.report(ledger, trial, "w", 7, score)
    queue.finish(ledger, trial, "w", score)


def test_a_sweep_that_is_closed_before_its_end_is_stopped(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", parse(TEXT))
    finish(ledger, 0.5)
    lifecycle.close(ledger, "s", "its best was chosen")
    assert results.stopped(ledger, "s") == "its best was chosen"
    assert queue.ask(ledger, "s", "w") is None


def test_a_sweep_that_is_closed_after_its_end_was_not_stopped(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", parse(TEXT))
    for score in (0.5, 0.6):
        finish(ledger, score)
    lifecycle.close(ledger, "s", "its best was chosen")
    assert results.stopped(ledger, "s") is None


def test_a_sweep_begins_anew_after_a_restart(ledger: Ledger, url: str) -> None:
    lifecycle.create(ledger, "s", parse(TEXT), job={"model": "old"})
    lifecycle.create(ledger, "other", parse(TEXT))
    finish(ledger, 0.5)
    name, token = tokens.share(ledger, "s")
    lifecycle.stop(ledger, "s", "enough")
    assert lifecycle.restart(ledger, "s") == 1
    assert results.names(ledger) == ["other"]
    assert tokens.authorized(ledger, name, token) is None
    fresh = Ledger.create(url)
    lifecycle.create(fresh, "s", parse(TEXT.replace("run_cap: 2", "run_cap: 1")))
    assert (results.trials(fresh, "s"), results.stopped(fresh, "s"), results.job(fresh, "s")) == ((), None, None)
    finish(fresh, 0.25)
    assert results.best_trial(fresh, "s").values == (0.25,)


def test_a_sweep_at_work_is_not_restarted(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", parse(TEXT))
    queue.ask(ledger, "s", "w")
    with pytest.raises(
        ConfigurationError, match=r"a worker holds one of its trials. Stop it first: `sailplane sweep stop s`"
    ):
        lifecycle.restart(ledger, "s")
    assert len(results.trials(ledger, "s")) == 1


def test_who_creates_it_last_says_what_its_trials_are_trained_with(ledger: Ledger) -> None:
    for model in ("old", "new"):
        lifecycle.create(ledger, "s", parse(TEXT), job={"model": model})
    assert results.job(ledger, "s") == {"model": "new"}


def test_a_model_that_is_made_later_belongs_to_its_trial(ledger: Ledger) -> None:
    lifecycle.create(ledger, "s", parse(TEXT))
    finish(ledger, 0.5)
    assert results.best_trial(ledger, "s").run is None
    assert results.last_step(ledger, "s", 0) == 7
    run = Run(
        id="r",
        model="toy",
        config={},
        seed=0,
        dataset=DATASET,
        as_of=DAY,
        metrics={"auc": 0.5},
        bundle="file:///bundle",
        seconds=1.0,
        sweep="s",
        trial=0,
    )
    queue.adopt(ledger, run)
    assert results.best(ledger, "s") == run
    assert results.last_step(ledger, "s", 1) is None
