from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sailplane.errors import DataError
from sailplane.records import (
    VERSION_KEY,
    Approval,
    Dataset,
    Deployment,
    Evaluation,
    Field,
    Interval,
    Offer,
    Rule,
    Run,
    Trial,
    Windows,
)

AS_OF = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Interval.trailing(AS_OF, 196)
DATASET = Dataset(
    name="flights",
    version="v1",
    uri="file:///x",
    interval=WINDOW,
    rows=10,
    quarantined=1,
    schema=(Field(name="distance", kind="number"), Field(name="late", kind="boolean", nullable=True)),
)
RUN = Run(
    id="flights/r1/train",
    model="flights",
    config={"hidden": [64, 32], "nested": {"a": 1}},
    seed=0,
    dataset=DATASET,
    as_of=AS_OF,
    metrics={"auc": 0.7},
    bundle="file:///b",
    seconds=1.5,
)


EVALUATION = Evaluation(
    model="flights",
    run=RUN,
    window=WINDOW,
    rows=7,
    metrics={"challenger": {"auc": 0.7}},
    champion=None,
    passed=True,
    reasons=("good",),
    rules=(Rule(name="minimum", passed=True, got="auc 0.7", expected="at least 0.55"),),
    details="file:///e",
    report="file:///r",
)
OFFERED = replace(EVALUATION, run=replace(RUN, bundle="file:///plain", digest="d1" * 32, train="m:baseline"))
OFFER = Offer(reason="The baseline is better: auc 0.7100 against 0.6800.", evaluation=OFFERED)


@pytest.mark.parametrize(
    "record",
    [
        DATASET,
        RUN,
        replace(RUN, baseline="file:///plain", baseline_train="m:baseline"),
        EVALUATION,
        replace(EVALUATION, passed=False, offer=OFFER),
        Trial(sweep="s", number=1, config={"lr": 0.1}, state="finished", score=0.7, run=RUN),
        Trial(sweep="s", number=2, config={}, state="running"),
    ],
)
def test_a_record_survives_json_whole(record):
    assert type(record).from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_a_verdict_without_an_offer_has_the_same_json_as_before_there_were_any() -> None:
    assert "offer" not in EVALUATION.to_dict()
    assert "baseline_train" not in RUN.to_dict()


def test_an_offer_says_what_is_better_and_the_command_that_accepts_it() -> None:
    assert OFFER.message == f"{OFFER.reason} Deploy it with `sailplane deploy flights`."
    assert OFFER.version == "d1d1d1d1d1d1"
    no = Approval(approved=False, by="Ada", note="", at=AS_OF)
    assert OFFER.answered(no).evaluation == replace(OFFERED, approval=no)


def test_an_evaluation_of_before_there_were_rules_can_be_read():
    old = Evaluation(
        model="m", run=RUN, window=WINDOW, rows=7, metrics={}, champion=None, passed=True, reasons=("good",)
    ).to_dict()
    for name in ("rules", "details", "report"):
        del old[name]
    assert Evaluation.from_dict(old).rules == ()


def test_an_evaluation_says_its_gains_by_day_and_one_of_before_they_were_kept_can_be_read():
    old = Evaluation(
        model="m", run=RUN, window=WINDOW, rows=7, metrics={}, champion="v", passed=True, reasons=("good",)
    )
    assert "day_gains" not in old.to_dict(), "the record of an earlier release has the same digest"
    assert Evaluation.from_dict(old.to_dict()).day_gains == {}
    new = replace(old, day_gains={"2026-11-20": 0.01})
    assert Evaluation.from_dict(json.loads(json.dumps(new.to_dict()))) == new


def test_the_windows_follow_each_other_and_fill_the_interval():
    windows = Windows.of(WINDOW)
    assert [len(part.days) for part in (windows.train, windows.validation, windows.test)] == [182, 7, 7]
    assert windows.train.end == windows.validation.start
    assert windows.validation.end == windows.test.start
    assert (windows.train.start, windows.test.end) == (WINDOW.start, AS_OF)


def test_a_dataset_keeps_its_windows_and_one_without_any_held_out_a_week_twice() -> None:
    windows = Windows.of(WINDOW, validation_days=3, test_days=2)
    assert Dataset.from_dict(json.loads(json.dumps(replace(DATASET, windows=windows).to_dict()))).windows == windows
    assert "windows" not in DATASET.to_dict(), "the record of an earlier release has the same digest"
    assert Dataset.from_dict(DATASET.to_dict()).windows == Windows.of(WINDOW, validation_days=7, test_days=7)


def test_an_intervals_days_are_its_midnights_without_the_end():
    days = Interval.trailing(AS_OF, 2).days
    assert days == (AS_OF - timedelta(days=2), AS_OF - timedelta(days=1))


def test_a_record_says_the_version_of_its_form_once_and_one_without_it_is_of_the_first() -> None:
    interval = Interval(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    windows = Windows(train=interval, validation=interval, test=interval)
    written = windows.to_dict()
    assert json.dumps(written).count(VERSION_KEY) == 1
    assert written == {**windows.content(), VERSION_KEY: 1}
    assert Windows.from_dict(written) == Windows.from_dict(windows.content()) == windows


def test_a_record_of_a_newer_release_is_refused_by_name() -> None:
    written = {**Deployment(name="n", version="v", weights={}, endpoint="e").to_dict(), VERSION_KEY: 2}
    with pytest.raises(DataError, match="read record Deployment: version 2; expected version 1 or older"):
        Deployment.from_dict(written)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": "0"}, r"^Run: Expected `int`, got `str` - at `\$.seed`$"),
        ({"dataset": {**DATASET.content(), "rows": None}}, r"got `null` - at `\$.dataset.rows`$"),
        ({"as_of": "yesterday"}, r"Invalid RFC3339 encoded datetime - at `\$.as_of`$"),
    ],
)
def test_a_field_of_another_type_is_named(change, said):
    with pytest.raises(ValueError, match=said):
        Run.from_dict({**RUN.to_dict(), **change})


def test_a_field_that_is_missing_is_named_and_one_that_is_unknown_is_left_out():
    lacking = {name: value for name, value in RUN.to_dict().items() if name != "seed"}
    with pytest.raises(ValueError, match=r"^Run: Object missing required field `seed`$"):
        Run.from_dict(lacking)
    assert Run.from_dict({**RUN.to_dict(), "unknown": 1}) == RUN
