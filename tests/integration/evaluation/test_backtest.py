from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.commands.backtest import rows, summary
from sailplane.datasets import load
from sailplane.errors import ConfigurationError, ModelError
from sailplane.evaluation.backtest import backtest, one_per_day
from sailplane.evaluation.curves import page
from sailplane.evaluation.daily import day_gains
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import Judged
from sailplane.evaluation.metrics import metrics
from sailplane.evaluation.sequence import log_evidence
from sailplane.records import Interval
from sailplane.storage import Storage
from tests.integration.evaluation.past import DAY, FEATURES, FIRST, judged

# The noise in the scores of each day's model; less is better.
NOISE = (1.0, 0.3, 2.0, 0.0, 0.1)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return Storage((tmp_path_factory.mktemp("past") / "store").as_uri())


@pytest.fixture(scope="module")
def past(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    scratch = tmp_path_factory.mktemp("bundles")
    return [judged(storage, scratch, number, noise) for number, noise in enumerate(NOISE)]


def auc(storage: Storage, model: Judged, rows_of: Judged) -> float:
    """Computes, independently, the AUC of a day's model on the rows of another day's window."""
    evaluation = rows_of.evaluation
    frame = load(storage, evaluation.run.dataset, evaluation.window)
    frame = frame[frame["good"].notna()]
    bundle = Bundle.open(Path(model.evaluation.run.bundle.removeprefix("file://")))
    return metrics(frame["good"].to_numpy(np.float32), bundle.predict(frame.drop(columns="good")))["auc"]


def test_every_model_is_measured_on_the_rows_of_each_days_own_window(storage: Storage, past: list[Judged]) -> None:
    found = backtest(storage, past)
    assert (found.model, found.metric) == ("toy", "auc")
    assert [day.day for day in found.days] == [FIRST + n * DAY for n in range(len(NOISE))]
    assert found.curve("pipeline") == [auc(storage, run, run) for run in past]
    assert found.curve("frozen") == [auc(storage, past[0], run) for run in past]
    assert found.curve("baseline") == [run.evaluation.metrics["baseline"]["auc"] for run in past]


def test_a_day_ships_if_its_model_beats_the_one_that_shipped_last_on_the_same_rows(
    storage: Storage, past: list[Judged]
) -> None:
    found = backtest(storage, past)
    assert [day.ships for day in found.days] == [True, True, False, True, False]
    assert found.shipped == 3
    champions = [None, past[0], past[1], past[1], past[3]]
    assert found.curve("champion") == [
        None if champion is None else auc(storage, champion, run) for champion, run in zip(champions, past, strict=True)
    ]
    assert [day.champion_day for day in found.days] == [champion and champion.day for champion in champions]
    assert found.days[2].reasons[1].startswith("failed: champion: auc 0.")


def test_what_the_runs_said_of_the_model_that_serves_now_is_not_asked(storage: Storage, past: list[Judged]) -> None:
    refused = [replace(run, evaluation=replace(run.evaluation, passed=False, champion="later")) for run in past]
    assert backtest(storage, refused) == backtest(storage, past)


def test_models_of_an_earlier_release_are_measured_as_their_champions_are(storage: Storage, past: list[Judged]) -> None:
    """Its verdicts have another calibration error, which must not be compared with one of this release."""
    earlier = [
        replace(run, evaluation=replace(run.evaluation, metrics={**known, "challenger": {"calibration_error": 0.9}}))
        for run in past
        for known in [run.evaluation.metrics]
    ]
    assert [day.pipeline for day in backtest(storage, earlier).days] == [
        day.pipeline for day in backtest(storage, past).days
    ]


def test_the_gate_is_the_one_that_the_dag_declared(storage: Storage, past: list[Judged]) -> None:
    strict = [replace(run, gate={"minimum": 0.99}) for run in past]
    found = backtest(storage, strict)
    assert found.shipped == 0
    assert found.curve("champion") == [None] * len(NOISE), "what never shipped is no champion"


def test_a_gate_of_an_earlier_release_is_read_without_what_this_one_refuses(
    storage: Storage, past: list[Judged]
) -> None:
    gate = {"metric": "calibration_error", "maximum": 1.0}
    earlier = [replace(run, gate={**gate, "confidence": 0.95, "slices": {"height": 0.1}}) for run in past]
    assert backtest(storage, earlier) == backtest(storage, [replace(run, gate=gate) for run in past])


def test_the_means_are_over_the_days(storage: Storage, past: list[Judged]) -> None:
    found = backtest(storage, past)
    assert found.means == {
        name: pytest.approx(float(np.mean(found.curve(name)))) for name in ("pipeline", "frozen", "baseline")
    }


def test_a_single_day_is_its_own_first_model(storage: Storage, past: list[Judged]) -> None:
    (day,) = backtest(storage, past[3:4]).days
    assert day.frozen == day.pipeline
    assert (day.ships, day.champion) == (True, None)


def test_of_two_runs_with_one_as_of_a_backfill_counts_and_of_equals_the_newer_verdict(past: list[Judged]) -> None:
    manual, scheduled = (replace(past[0], kind=kind, dag_run=kind) for kind in ("manual", "scheduled"))
    newer = replace(past[0], dag_run="newer")
    assert one_per_day([manual, past[0], newer, scheduled, past[1]]) == [newer, past[1]]
    assert one_per_day([past[1], scheduled, manual]) == [scheduled, past[1]]


def test_no_model_is_judged_on_days_that_it_was_trained_on(storage: Storage, past: list[Judged]) -> None:
    wide = replace(past[1].evaluation, window=Interval.trailing(past[1].evaluation.run.as_of, 14))
    with pytest.raises(
        ConfigurationError, match=r"judge toy/2026-10-02/train .*trained or chosen on days up to 2026-09"
    ):
        backtest(storage, [past[0], replace(past[1], evaluation=wide)])


def test_a_model_that_is_gone_from_the_store_is_named(storage: Storage, tmp_path: Path) -> None:
    lost = judged(storage, tmp_path, 10, 0.5)
    shutil.rmtree(lost.evaluation.run.bundle.removeprefix("file://"))
    with pytest.raises(ModelError, match=r"fetch bundle .*/runs/toy/2026-10-12/train/bundle: nothing there"):
        backtest(storage, [lost])


UNSCORED = """
def transform(frame, state):
    if len(frame) > 5:
        raise KeyError("colour")
    return {"numbers": frame[["height", "noise"]].to_numpy("float32")}
"""


def test_a_day_whose_model_does_not_score_the_rows_is_a_day_without_a_model(storage: Storage, tmp_path: Path) -> None:
    """The failing models are the first day's, and the third day's, which would have been the best."""
    unscored = [
        judged(storage, tmp_path, number, noise, model="gaps", features=UNSCORED if number in (0, 2) else FEATURES)
        for number, noise in enumerate((1.0, 0.3, 0.0, 0.1))
    ]
    found = backtest(storage, unscored)
    assert [value is None for value in found.curve("pipeline")] == [True, False, True, False]
    assert [value is None for value in found.curve("frozen")] == [True, False, False, False]
    assert found.curve("frozen")[2] == auc(storage, unscored[1], unscored[2])
    assert None not in found.curve("baseline")
    assert [day.ships for day in found.days] == [False, True, False, True]
    assert found.days[3].champion_day == unscored[1].day
    assert found.days[2].reasons == ("failed: serves: KeyError: 'colour', expected a score for every test row",)
    assert [row[2] == "" for row in rows(found)[1:]] == [True, False, True, False]
    assert "2 of 4" in summary(found)
    assert page(found, summary(found), rows(found)).count("<tr") == 5


SURE = Gate(confidence=0.95, baseline=None)


@pytest.fixture(scope="module")
def looked(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    """Makes a poor first model, then twelve days of better models that are equal to each other."""
    scratch = tmp_path_factory.mktemp("looked")
    noises = (1.5, *(0.3 + 0.01 * (number % 2) for number in range(12)))
    return [judged(storage, scratch, number, noise, model="sure", gate=SURE) for number, noise in enumerate(noises)]


def gains(storage: Storage, model: Judged, champion: Judged) -> dict[str, float]:
    """Computes the gains independently, over the window of the model's own evaluation."""
    evaluation = model.evaluation
    frame = load(storage, evaluation.run.dataset, evaluation.window)
    frame = frame[frame["good"].notna()]
    bundles = {"challenger": model, "champion": champion}
    scores = {
        name: Bundle.open(Path(one.evaluation.run.bundle.removeprefix("file://"))).predict(frame.drop(columns="good"))
        for name, one in bundles.items()
    }
    days = frame["time"].dt.strftime("%Y-%m-%d").to_numpy()
    return day_gains(SURE, frame["good"].to_numpy(np.float32), days, scores)


@pytest.mark.parametrize("beyond", [0.0, 0.1])
def test_each_day_since_the_champion_took_over_is_evidence_once(
    storage: Storage, looked: list[Judged], beyond: float
) -> None:
    """How much the gate demands decides whether the better models take over on the second day or later."""
    runs = [replace(run, gate={**run.gate, "beat_champion_by": beyond}) for run in looked]
    champion, known = looked[0], dict[str, float]()
    for run, day in zip(looked[1:], backtest(storage, runs).days[1:], strict=True):
        known = {**gains(storage, run, champion), **known}
        evidence = math.exp(log_evidence([known[one] - beyond for one in sorted(known)]))
        assert (day.evidence, day.counted) == (pytest.approx(evidence), len(known))
        assert day.champion_day == champion.day
        assert day.ships is (evidence >= 20)
        if day.ships:
            champion, known = run, {}
    assert champion is looked[5 if beyond else 1], "the better models take over"


def test_after_a_better_model_no_equal_one_takes_over(storage: Storage, looked: list[Judged]) -> None:
    assert [day.ships for day in backtest(storage, looked).days] == [True, True, *[False] * 11]


def test_the_summary_says_how_many_false_promotions_to_expect(storage: Storage, looked: list[Judged]) -> None:
    found = backtest(storage, looked)
    assert (found.false_promotions, found.needed) == (pytest.approx(0.0526, abs=1e-4), pytest.approx(20))
    said = summary(found)
    assert "False promotions: at most 0.053 expected a year if no model is better than its champion" in said
    assert "`e` is the evidence of the counted `days`: a champion is replaced at 20." in said
    drawn = page(found, said, rows(found))
    assert "at most 0.053 expected a year" in drawn
    assert "<th>e</th>" in drawn


def test_a_gate_without_confidence_is_told_what_limits_false_promotions(storage: Storage, past: list[Judged]) -> None:
    found = backtest(storage, past)
    assert (found.false_promotions, found.needed) == (None, None)
    limit = "no limit over repeated looks, since the gate has no confidence. Set Gate(confidence=0.95)."
    assert limit in summary(found)
