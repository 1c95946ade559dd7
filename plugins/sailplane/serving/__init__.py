"""The process that answers: the model server, its protocols, its batcher, its metrics and its request log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sailplane.serving.seldon.model import SeldonModel

__all__ = ["SeldonModel"]


def __getattr__(name: str) -> Any:
    # Seldon's server looks for the class here. Everyone else can do without its imports.
    if name == "SeldonModel":
        from sailplane.serving.seldon.model import SeldonModel

        return SeldonModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
