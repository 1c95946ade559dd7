"""The model server: its protocols, its batcher, its metrics and its request log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sailplane.serving.seldon.model import SeldonModel

__all__ = ["SeldonModel"]


def __getattr__(name: str) -> Any:
    # Seldon's server imports the class from here. Lazy, because its imports are slow.
    if name == "SeldonModel":
        from sailplane.serving.seldon.model import SeldonModel

        return SeldonModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
