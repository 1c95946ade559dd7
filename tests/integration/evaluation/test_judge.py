"""Verdicts on models: metrics, intervals, slices, gains of earlier days, and data that cannot judge."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sailplane.datasets import ingest
from sailplane.errors import ConfigurationError, DataError, LabelError
from sailplane.evaluation import evaluate
from sailplane.evaluation.details import Details
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.markdown import figures
from sailplane.evaluation.page import page
from sailplane.records import Dataset, Evaluation, Interval, Run
from sailplane.storage import Storage
from sailplane.storage.move import Copy
from tests.unit.evaluation.toy import AS_OF, FEATURES, SCHEMA, Toy, extract

GOOD, BAD = [[1.0], [0.0]], [[-1.0], [0.0]]
# Its scores are right for blue rows and wrong for red rows.
BLUE_ONLY = [[1.0], [-2.0]]


def of_data(run: Run, dataset: Dataset) -> Run:
    return Run.from_dict({**run.to_dict(), "dataset": dataset.to_dict()})


def test_all_contenders_are_scored_on_the_labelled_rows_of_the_test_window(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", BAD))
    got = evaluate(toy.storage, run=toy.train("new", GOOD), baseline=toy.train("plain").bundle, champion=champion)
    assert got.window == Interval.trailing(AS_OF, 7)
    assert got.rows == 7 * 144 - 101
    assert set(got.metrics) == {"challenger", "baseline", "champion"}
    assert got.metrics["challenger"]["auc"] == pytest.approx(1 - got.metrics["champion"]["auc"])
    assert (got.passed, got.champion) == (True, champion.version)


def test_a_challenger_that_is_only_equal_does_not_pass_and_the_reason_says_so(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", GOOD))
    got = evaluate(toy.storage, run=toy.train("new", GOOD), champion=champion)
    assert not got.passed
    assert got.reasons[1].startswith("failed: champion: auc 0.")
    assert [rule.name for rule in got.rules if not rule.passed] == ["champion"]


def test_every_metric_has_an_interval_and_a_paired_difference(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", BLUE_ONLY))
    run = toy.train("new", GOOD)
    got = evaluate(toy.storage, run=run, baseline=toy.train("plain", [[2.0], [0.0]]).bundle, champion=champion)
    found = toy.details(got)
    assert len(found.metrics) == 3 * 4
    for measured in found.metrics:
        assert measured.estimate.value == got.metrics[measured.contender][measured.metric]
        assert measured.estimate.low is not None
        assert measured.estimate.high is not None
        assert measured.estimate.low <= measured.estimate.value <= measured.estimate.high
    apart = {(gain.against, gain.metric): gain.estimate for gain in found.differences}
    assert (apart["champion", "auc"].low or 0) > 0
    assert apart["champion", "calibration_error"].low is None, "a difference of calibration errors has no interval"
    # The ranking is the same, so the AUC is the same in every resample.
    assert (apart["baseline", "auc"].low, apart["baseline", "auc"].high) == (0.0, 0.0)


def test_the_same_is_judged_the_same_to_the_bit(toy: Toy) -> None:
    run = toy.train("new", GOOD)
    gate = Gate(slices={"colour": 0.1}, costs={"false_positive": 1.0, "false_negative": 2.0})
    first, second = (toy.details(evaluate(toy.storage, run=run, gate=gate)).to_dict() for _ in range(2))
    assert first.pop("latency_ms") > 0
    assert second.pop("latency_ms") > 0
    assert first == second


def test_a_challenger_that_is_worse_in_one_slice_does_not_pass(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", [[0.2], [0.0]]))
    # It is better overall than a champion that guesses, and better in all slices except red.
    gate = Gate(minimum=0.3, slices={"colour": 0.1})
    got = evaluate(toy.storage, run=toy.train("new", BLUE_ONLY), champion=champion, gate=gate)
    [rule] = [rule for rule in got.rules if rule.name == "slices of colour"]
    assert not rule.passed
    assert rule.got.startswith("red (")
    assert "2 of 3 values judged, each at level 0.025" in rule.got, "green has too few rows"
    assert {group.value: group.worse for group in toy.details(got).slices} == {
        "blue": False,
        "green": False,
        "red": True,
    }


def test_a_small_gain_does_not_beat_the_champion_with_confidence(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", [[1.0], [0.03]]))
    run = toy.train("new", GOOD)
    plain = evaluate(toy.storage, run=run, champion=champion)
    sure = evaluate(toy.storage, run=run, champion=champion, gate=Gate(confidence=0.95))
    gain = plain.metrics["challenger"]["auc"] - plain.metrics["champion"]["auc"]
    assert 0 < gain < 0.002
    assert (plain.passed, sure.passed) == (True, False)
    assert evaluate(
        toy.storage, run=run, champion=toy.registered(toy.train("b", BAD)), gate=Gate(confidence=0.95)
    ).passed


def test_the_gains_of_earlier_days_are_evidence_with_those_of_this_window(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", [[1.0], [0.03]]))
    run, gate = toy.train("new", GOOD), Gate(confidence=0.95)
    before = [f"2026-02-{day:02}" for day in range(10, 22)]
    better = {day: 0.02 + 0.001 * (number % 3) for number, day in enumerate(before)}
    alone = evaluate(toy.storage, run=run, champion=champion, gate=gate)
    got = evaluate(toy.storage, run=run, champion=champion, gate=gate, past=better)
    assert list(alone.day_gains) == [f"{day:%Y-%m-%d}" for day in alone.window.days]
    assert got.day_gains == alone.day_gains
    assert (alone.passed, got.passed) == (False, True)
    assert [rule.got.split(", from ")[1] for rule in (alone.rules[1], got.rules[1])] == ["7 days", "19 days"]
    assert "false promotions: at most 0.053 expected a year" in figures(got)
    assert "of 20 needed, from 19 days" in page(got, toy.details(got), stored="runs/new/report.html")


def test_a_day_of_the_window_that_an_earlier_evaluation_counted_keeps_its_gain(toy: Toy) -> None:
    champion, run = toy.registered(toy.train("champion", BAD)), toy.train("new", GOOD)
    gate = Gate(confidence=0.95)
    assert evaluate(toy.storage, run=run, champion=champion, gate=gate).passed
    past = {f"{day:%Y-%m-%d}": -0.01 for day in Interval.trailing(AS_OF, 7).days}
    got = evaluate(toy.storage, run=run, champion=champion, gate=gate, past=past)
    assert not got.passed
    assert "from 7 days" in got.rules[1].got


def test_several_classes_have_metrics_and_slices_and_no_thresholds(toy: Toy) -> None:
    three: dict[str, Any] = {"target": "kind", "outputs": ("0", "1", "2"), "features": FEATURES.replace("good", "kind")}
    champion = toy.registered(toy.train("champion", [[-0.1, 0.0, 0.1], [0.0, 0.0, 0.0]], **three))
    run = toy.train("new", [[-2.0, 0.0, 2.0], [0.0, 0.0, 0.0]], **three)
    gate = Gate(slices={"colour": 0.1}, costs={"false_positive": 1.0, "false_negative": 1.0})
    got = evaluate(toy.storage, run=run, champion=champion, gate=gate)
    found = toy.details(got)
    assert got.metrics["challenger"]["log_loss"] < got.metrics["champion"]["log_loss"]
    assert (found.thresholds, found.best_threshold) == ((), None)
    assert [group.value for group in found.slices if group.challenger] == ["blue", "red"]
    assert len(found.metrics) == 2 * 4


def test_a_latency_is_measured_and_may_be_limited(toy: Toy) -> None:
    run = toy.train("new", GOOD)
    slow = "import time\n" + FEATURES.replace('    assert "good"', '    time.sleep(0.02)\n    assert "good"')
    assert evaluate(toy.storage, run=run, gate=Gate(max_latency_ms=1000)).passed
    got = evaluate(toy.storage, run=toy.train("slow", GOOD, features=slow), gate=Gate(max_latency_ms=20))
    assert [rule.name for rule in got.rules if not rule.passed] == ["latency"]


def test_what_was_made_before_the_store_was_moved_is_judged_in_its_new_place(toy: Toy, tmp_path: Path) -> None:
    champion, run = toy.registered(toy.train("champion", BAD)), toy.train("new", GOOD)
    moved = Storage((tmp_path / "moved").as_uri())
    copy = Copy(toy.storage, moved, tmp_path / "moves" / "journal.jsonl")
    copy.begin()
    copy.run(lambda _: None)
    copy.publish()
    copy.close()
    shutil.rmtree(toy.folder / "store")
    # The run, its dataset and the champion name the previous place, as the XComs of that run do.
    got = evaluate(moved, run=run, champion=champion)
    assert (got.passed, got.champion) == (True, champion.version)
    assert got.details == f"{moved.root}/runs/new/evaluation.json"


def test_a_slice_by_a_column_that_is_not_there_is_refused(toy: Toy) -> None:
    with pytest.raises(
        ConfigurationError, match="slice by color: no such column; expected one of time, height, colour"
    ):
        evaluate(toy.storage, run=toy.train("new", GOOD), gate=Gate(slices={"color": 0.1}))


def test_what_is_to_be_predicted_is_no_slice(toy: Toy) -> None:
    with pytest.raises(ConfigurationError, match="slice by good: no such column"):
        evaluate(toy.storage, run=toy.train("new", GOOD), gate=Gate(slices={"good": 0.1}))


@pytest.mark.parametrize(
    ("labels", "error", "said"),
    [
        (True, DataError, r"all 907 rows have the same label.*Check the labels that extract returns"),
        (
            pd.NA,
            LabelError,
            r"read labels of bad .*1008 rows have an empty 'good'; expected labelled rows.*: `sail",
        ),
    ],
    ids=["one class", "no labels"],
)
def test_a_test_window_that_cannot_judge_is_refused(toy: Toy, labels: Any, error: type[DataError], said: str) -> None:
    def damaged(start: datetime, end: datetime) -> pd.DataFrame:
        frame = extract(start, end)
        judged = (frame["time"] >= Interval.trailing(later, 7).start).to_numpy()
        frame.loc[frame["good"].notna().to_numpy() & judged, "good"] = labels
        return frame

    later = datetime(2027, 1, 1, tzinfo=UTC)
    interval = Interval.trailing(later, 28)
    dataset = ingest(toy.storage, name="bad", extract=damaged, schema=SCHEMA, time="time", interval=interval)
    with pytest.raises(error, match=said):
        evaluate(toy.storage, run=of_data(toy.train("new", GOOD), dataset))
    assert not toy.storage.exists("runs/new/evaluation.json")


def test_the_numbers_of_a_model_survive_json(toy: Toy, tmp_path: Path) -> None:
    gate = Gate(slices={"colour": 0.1}, costs={"false_positive": 1.0, "false_negative": 2.0})
    got = evaluate(toy.storage, run=toy.train("new", GOOD), gate=gate)
    assert Evaluation.from_dict(json.loads(json.dumps(got.to_dict()))) == got
    found = toy.details(got)
    assert Details.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert np.isfinite([measured.estimate.value for measured in found.metrics]).all()


def test_judging_imports_neither_torch_nor_airflow() -> None:
    program = "import sys, sailplane.evaluation.judge; print({'torch', 'airflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
