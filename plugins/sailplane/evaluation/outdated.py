"""Checks that a verdict still holds: the champion has not changed since."""

from __future__ import annotations

from sailplane.ledger import Ledger
from sailplane.records import Evaluation
from sailplane.registry.models import alias


def outdated(ledger: Ledger, evaluation: Evaluation) -> str | None:
    """The reason why the model may not be deployed on this verdict, with the remedy: it was not compared with the
    version that serves now. None if it may be deployed."""
    champion = alias(ledger, evaluation.model, "champion")
    if champion is None or champion.version == evaluation.champion or champion.run == evaluation.run.id:
        return None
    compared = f"compared with {evaluation.champion}" if evaluation.champion else "judged while there was none"
    remedy = "clear `evaluate` to compare it with that version"
    return f"the champion is {champion.version} now, and this model was {compared}: {remedy}"
