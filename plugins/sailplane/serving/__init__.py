"""The model server, the router in front of it, and the deployment of a bundle behind both."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sailplane.ledger import Ledger
    from sailplane.records import Deployment


def deployments(ledger: Ledger) -> list[Deployment]:
    """What is served, by model."""
    # Here, because a model server that imports its package has no use for a database.
    from sailplane.serving.local import deployments as recorded

    return recorded(ledger)
