"""The check that a verdict still holds: the champion is the one that it compared with."""

from __future__ import annotations

from sailplane.ledger import Ledger
from sailplane.records import Evaluation
from sailplane.registry.models import alias


def outdated(ledger: Ledger, evaluation: Evaluation) -> str | None:
    """The reason why the model may not be deployed on this verdict, with the remedy: another version serves than the
    one that it was compared with. None if it may."""
    champion = alias(ledger, evaluation.model, "champion")
    if champion is None or champion.version == evaluation.champion or champion.run == evaluation.run.id:
        return None
    compared = f"compared with {evaluation.champion}" if evaluation.champion else "judged while there was none"
    remedy = "clear `evaluate` to compare it with that one"
    return f"the champion is {champion.version} now, and this model was {compared}: {remedy}"
