"""The only file of user code in a bundle."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sailplane.bundles.arrays import arrays_of_frame
from sailplane.errors import ConfigurationError, ModelError
from sailplane.records import Field

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_REMEDY = "features.py is copied into the model's bundle and may import installed packages only. Move the code into it."


@dataclass(frozen=True)
class Features:
    """`transform(frame, state)` or `transform(columns, state)`: returns named arrays, first axis rows."""

    transform: Callable[[Any, Mapping[str, Any]], dict[str, np.ndarray]]
    takes_columns: bool


def takes_columns(function: Callable[..., object]) -> bool:
    """Whether it takes arrays by field, because its first parameter is called `columns`, rather than a frame."""
    return next(iter(inspect.signature(function).parameters), "") == "columns"


def rows_for(function: Callable[..., object], frame: pd.DataFrame, fields: Sequence[Field]) -> Any:
    """The frame, or its arrays if the function takes columns."""
    return arrays_of_frame(frame, fields) if takes_columns(function) else frame


def check_self_contained(path: Path) -> None:
    """Raises ConfigurationError if the file imports the project or files in its folder, or is not valid Python."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError, OSError) as error:
        raise ConfigurationError("read", path, got=error, expected="a Python file") from error
    for line, name in _imports(tree):
        if name.startswith(".") or name.split(".")[0] in {"include", "dags", "plugins"}:
            raise ConfigurationError("use", f"{path}:{line}", got=f"it imports {name!r}", remedy=_REMEDY)


def load_features(path: Path, unique: str) -> Features:
    """Loads the file as the module `unique`, even if another module has its name."""
    name = f"sailplane_bundle_{unique}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceOnly(name, str(path)))
    if spec is None or spec.loader is None:
        raise ModelError("load", path, got="not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        del sys.modules[name]
        raise ConfigurationError("load", path, got=error, remedy=_REMEDY) from error
    except Exception as error:
        del sys.modules[name]
        raise ConfigurationError("load", path, got=f"{type(error).__name__}: {error}") from error
    if not callable(getattr(module, "transform", None)):
        raise ConfigurationError(
            "load",
            path,
            got="no transform(columns, state), or transform(frame, state)",
            expected="a function named transform",
        )
    return Features(module.transform, takes_columns(module.transform))


class _SourceOnly(SourceFileLoader):
    """Leaves no __pycache__ in a bundle."""

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        pass


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
