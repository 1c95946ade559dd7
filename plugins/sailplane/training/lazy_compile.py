"""Torch without its compiler, until something asks for the compiler.

The first step of an optimizer imports torch._dynamo, and with it sympy: it takes longer than torch itself, in every
training process, only to say that a graph ends here and that a function is not to be compiled. Without torch.compile
both say nothing.
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
        # Whoever looks through all modules, as inspect does, asks for no compiler; an import of a part wants the path.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return getattr(importlib.import_module(NAME), name)


def postpone_compiler() -> None:
    """Call before anything uses torch. The real module takes the place of this one at its first use."""
    if NAME not in sys.modules:
        module = _Postponed(NAME)
        sys.modules[NAME] = module
        torch._dynamo = module
