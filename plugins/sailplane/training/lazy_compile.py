"""Loads torch's compiler only when something uses it.

The first step of an optimizer imports torch._dynamo, and with it sympy. In every training process this takes longer
than importing torch, only to mark a graph break and to mark a function as not to be compiled. Without torch.compile
both marks have no effect.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import torch

NAME: Final = "torch._dynamo"


class _Postponed(ModuleType):
    @staticmethod
    def graph_break(*_: Any, **__: Any) -> None: ...

    @staticmethod
    def disable(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
        return function if function is not None else lambda decorated: decorated

    def __getattr__(self, name: str) -> Any:
        # Code that scans all modules, like inspect, does not need the compiler; importing a submodule reads __path__.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return getattr(importlib.import_module(NAME), name)


def postpone_compiler() -> None:
    """Installs a placeholder, which the real module replaces at its first use. Call this before anything uses torch."""
    if NAME not in sys.modules:
        module = _Postponed(NAME)
        sys.modules[NAME] = module
        torch._dynamo = module
