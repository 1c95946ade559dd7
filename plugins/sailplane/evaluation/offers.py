"""Offers the baseline as a candidate if the gate finds it better than the challenger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sailplane.bundles.bundle import Bundle
from sailplane.evaluation.contenders import ScoredContenders
from sailplane.evaluation.gate import Gate
from sailplane.records import Offer, Rule, Run


def candidate(rules: Sequence[Rule], run: Run, trained: Run | None) -> Run | None:
    """The run that trained the baseline, if the rule about the baseline rejects the challenger, the model of `run`.

    None for a baseline that may have seen the test window, or whose train function is unknown because its run is of an
    earlier release: it would have no lineage."""
    better = any(rule.name == "baseline" and not rule.passed for rule in rules)
    if not better or trained is None or not trained.baseline_train:
        return None
    return trained if trained.dataset.interval == run.dataset.interval else None


def run_of(trained: Run, baseline: Bundle) -> Run:
    """The baseline's own lineage, from the run that trained both it and a model."""
    mine = {name.removeprefix("baseline_"): value for name, value in trained.metrics.items() if _is_of_baseline(name)}
    return replace(
        trained,
        bundle=trained.baseline or "",
        baseline=None,
        train=trained.baseline_train,
        baseline_train="",
        metrics=mine,
        digest=baseline.digest,
        # One process trains the baseline, in full precision, even if several train the model.
        processes=1,
        precision="float32",
        # The steps belong to the model.
        steps=None,
    )


def as_challenger(test: ScoredContenders) -> ScoredContenders:
    """The same rows, with the baseline as the challenger."""
    names = {"baseline": "challenger", "champion": "champion"}
    return replace(
        test,
        scores={names[name]: scores for name, scores in test.scores.items() if name in names},
        metrics={names[name]: metrics for name, metrics in test.metrics.items() if name in names},
        unscored={},
    )


def reason(gate: Gate, test: ScoredContenders) -> str:
    """A sentence such as `The baseline is better: auc 0.7100 against 0.6800.`"""
    its, challengers = (test.metrics[name][gate.metric] for name in ("baseline", "challenger"))
    return f"The baseline is better: {gate.metric} {its:.4f} against {challengers:.4f}."


def notes(offer: Offer | None) -> tuple[str, ...]:
    """The notes on the baseline in the verdict on the challenger."""
    if offer is None:
        return ()
    if offer.evaluation.passed:
        return (offer.message,)
    return (f"{offer.reason} It is not offered: the gate rejects it too. {'; '.join(offer.evaluation.against)}",)


def _is_of_baseline(name: str) -> bool:
    return name.startswith("baseline_")
