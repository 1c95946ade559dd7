"""A better baseline is offered, with its own bundle and lineage."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sailplane.errors import ModelError
from sailplane.evaluation import evaluate
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.history import find
from sailplane.evaluation.markdown import figures
from sailplane.evaluation.report import publish
from sailplane.files import temporary_folder
from sailplane.operators import EvaluateModelOperator
from sailplane.records import Evaluation, Interval, Run
from sailplane.registry import models
from tests.unit.evaluation.toy import AS_OF, Toy

GOOD, BAD = [[1.0], [0.0]], [[-1.0], [0.0]]
BLUE_ONLY = [[1.0], [-2.0]]


def judged(toy: Toy, run: Run, **arguments: Any) -> Evaluation:
    arguments = {"baseline_of": run, **arguments}
    return evaluate(toy.storage, run=run, baseline=run.baseline, **arguments)


def test_a_better_baseline_is_offered_with_its_own_bundle(toy: Toy) -> None:
    run = toy.beside("new", BLUE_ONLY, GOOD)
    got = judged(toy, run)
    assert [rule.name for rule in got.rules if not rule.passed] == ["baseline"]
    assert got.offer
    offered = got.offer.evaluation
    assert (offered.passed, offered.champion, offered.rows) == (True, None, got.rows)
    assert offered.metrics == {"challenger": got.metrics["baseline"]}
    assert [rule.name for rule in offered.rules] == ["minimum", "serves"]
    its, challengers = (got.metrics[name]["auc"] for name in ("baseline", "challenger"))
    said = f"The baseline is better: auc {its:.4f} against {challengers:.4f}."
    assert got.reasons[-1] == f"{said} Deploy it with `sailplane deploy toy`."
    assert said in offered.reasons


def test_the_offered_run_has_the_baselines_bundle_and_train_function(toy: Toy) -> None:
    run = toy.beside("new", BLUE_ONLY, GOOD)
    got = judged(toy, run).offer
    assert got
    offered = got.evaluation.run
    assert (offered.bundle, offered.train) == (run.baseline, "include.toy.model:baseline")
    assert (offered.baseline, offered.baseline_train, offered.steps) == (None, "", None)
    assert offered.metrics == {"validation_auc": 0.75}
    with temporary_folder() as scratch:
        assert offered.digest == models.fetch_bundle(toy.storage, run.baseline or "", Path(scratch) / "bundle").digest
    assert (offered.id, offered.dataset, offered.as_of, offered.config) == (run.id, run.dataset, run.as_of, run.config)


def test_a_sweeps_trial_is_rejected_and_the_train_steps_baseline_offered(toy: Toy) -> None:
    """The trial has no baseline."""
    trained, trial = toy.beside("train", GOOD, GOOD), toy.train("trial", BLUE_ONLY, sweep="s", trial=3)
    got = evaluate(toy.storage, run=trial, baseline=trained.baseline, baseline_of=trained)
    assert got.offer
    assert (got.offer.evaluation.run.id, got.offer.evaluation.run.sweep) == ("train", None)


@pytest.mark.parametrize(
    ("gate", "weights"), [(Gate(baseline=None), BLUE_ONLY), (Gate(baseline=0.5), BLUE_ONLY), (Gate(), GOOD)]
)
def test_without_the_rule_or_a_difference_nothing_is_offered(toy: Toy, gate: Gate, weights: list[list[float]]) -> None:
    got = judged(toy, toy.beside("new", weights, GOOD), gate=gate)
    assert got.offer is None
    assert not any("Deploy it" in reason for reason in got.reasons)


def test_a_baseline_that_does_not_beat_the_champion_is_not_offered_and_the_reason_says_so(toy: Toy) -> None:
    champion = toy.registered(toy.train("champion", GOOD))
    got = judged(toy, toy.beside("new", BLUE_ONLY, GOOD), champion=champion)
    assert got.offer is None
    assert "It is not offered: the gate rejects it too. champion: auc" in got.reasons[-1]


def test_a_baseline_is_compared_with_the_champion_as_a_challenger_is(toy: Toy) -> None:
    champion, run = toy.registered(toy.train("champion", BAD)), toy.beside("new", BLUE_ONLY, GOOD)
    gate = Gate(confidence=0.95, slices={"colour": 0.02}, max_latency_ms=1000)
    got = judged(toy, run, champion=champion, gate=gate)
    assert got.offer
    alone = evaluate(toy.storage, run=replace(got.offer.evaluation.run, id="alone"), champion=champion, gate=gate)
    assert got.offer.evaluation.champion == champion.version
    names = ["minimum", "champion", "slices of colour", "serves", "latency"]
    assert [rule.name for rule in got.offer.evaluation.rules] == names
    assert got.offer.evaluation.rules[:4] == alone.rules[:4], "judged as if it had been trained as the model"
    assert any("false promotions" in reason for reason in alone.reasons)
    assert not any("false promotions" in reason for reason in got.offer.evaluation.reasons), "its own window only"
    assert got.offer.evaluation.metrics == alone.metrics


def test_a_baseline_that_would_not_serve_is_not_offered(toy: Toy) -> None:
    run = toy.beside("new", BLUE_ONLY, GOOD)
    gate = Gate(max_latency_ms=1e-9)
    got = judged(toy, run, gate=gate)
    assert got.offer is None
    assert "latency" in got.reasons[-1]


def test_the_error_about_a_damaged_champion_that_was_a_baseline_names_its_own_copy(toy: Toy) -> None:
    offer = judged(toy, toy.beside("plain", BLUE_ONLY, GOOD)).offer
    assert offer
    champion = toy.registered(offer.evaluation.run)
    toy.storage.delete(f"{toy.storage.path(champion.uri)}/model.onnx")
    with pytest.raises(ModelError, match="from a backup or from runs/plain/baseline in the store"):
        evaluate(toy.storage, run=toy.train("new", GOOD), champion=champion)


def test_without_the_run_that_trained_the_baseline_nothing_is_offered(toy: Toy) -> None:
    got = judged(toy, toy.beside("new", BLUE_ONLY, GOOD), baseline_of=None)
    assert (got.passed, got.offer) == (False, None)
    assert not any("Deploy it" in reason for reason in got.reasons)


def test_the_task_offers_the_train_steps_baseline_and_in_a_backfill_nothing(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sailplane.operators.evaluate.opened", lambda: (toy.ledger, toy.storage))
    trained, trial = toy.beside("train", GOOD, GOOD), toy.train("trial", BLUE_ONLY)
    task = EvaluateModelOperator(task_id="evaluate", challenger=trial.to_dict(), baseline=trained.to_dict())
    for run_type, offers in {"scheduled": True, "backfill": False}.items():
        run = SimpleNamespace(run_type=run_type, run_after=AS_OF, partition_key=None)
        dates = {"data_interval_start": AS_OF - timedelta(days=1), "data_interval_end": AS_OF}
        context: Any = {"ti": SimpleNamespace(dag_id="toy", run_id=run_type), "dag_run": run, **dates}
        got = Evaluation.from_dict(task.execute(context))
        assert (got.offer is not None, "Deploy it" in str(got.reasons)) == (offers, offers)
        judged = find(toy.ledger, "toy", run_type)
        assert judged
        assert judged.evaluation == got, "with the offer, on the ledger"


def test_a_baseline_of_an_earlier_release_has_no_lineage_and_is_not_offered(toy: Toy) -> None:
    run = replace(toy.beside("new", BLUE_ONLY, GOOD), baseline_train="")
    assert judged(toy, run).offer is None


def test_a_baseline_that_may_have_seen_the_test_window_is_not_offered(toy: Toy) -> None:
    run = toy.beside("new", BLUE_ONLY, GOOD)
    later = Interval(start=AS_OF - timedelta(days=28), end=AS_OF + timedelta(days=7))
    assert judged(toy, run, baseline_of=replace(run, dataset=replace(run.dataset, interval=later))).offer is None


def test_the_report_and_the_figures_say_it_in_plain_words(toy: Toy) -> None:
    got = publish(toy.storage, toy.ledger, judged(toy, toy.beside("new", BLUE_ONLY, GOOD)))
    assert got.offer
    page = toy.storage.read_text(f"runs/{got.run.id}/report.html")
    assert got.offer.reason in page
    assert page.count("Deploy it with `sailplane deploy toy`.") == 1
    assert got.offer.reason in figures(got)


def test_the_registered_baseline_is_a_version_like_any_other(toy: Toy) -> None:
    got = judged(toy, toy.beside("new", BLUE_ONLY, GOOD))
    assert got.offer
    offered = got.offer.evaluation
    model = models.register(toy.ledger, toy.storage, offered.run, offered.metrics["challenger"], offered)
    assert models.find(toy.ledger, "toy@challenger") == model
    assert models.measured_on(model) == f"test {got.window}"
    card = toy.storage.read_text(f"models/toy/{model.version}/README.md")
    assert "| train function | `include.toy.model:baseline` |" in card
    assert f"| auc | {got.metrics['baseline']['auc']:.4f} |" in card
    assert "Verdict: passed" in card
    later = evaluate(toy.storage, run=toy.train("later", GOOD), champion=model)
    assert later.metrics["champion"] == got.metrics["baseline"]
