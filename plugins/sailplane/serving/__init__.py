"""The model server, the router in front of it, and the deployment of a bundle behind both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sailplane.ledger import Ledger
    from sailplane.records import Deployment
    from sailplane.serving.seldon_model import SeldonModel

__all__ = ["SeldonModel", "deployments"]


def deployments(ledger: Ledger) -> list[Deployment]:
    """What is served, by model."""
    # Here, because a model server that imports its package has no use for a database.
    from sailplane.serving.local import deployments as recorded

    return recorded(ledger)


def __getattr__(name: str) -> Any:
    # Seldon's server looks for the class here; nobody else has use for what it imports.
    if name == "SeldonModel":
        from sailplane.serving.seldon_model import SeldonModel

        return SeldonModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
