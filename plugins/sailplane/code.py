"""User code is named by path, `"include.churn.model:train"`, so that parsing a DAG imports none of it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sailplane
from sailplane.errors import ConfigurationError
from sailplane.home import Home


def with_package(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment in which Python finds this package too: a checkout is not installed."""
    package = str(Path(sailplane.__file__).resolve().parents[1])
    return {**env, "PYTHONPATH": os.pathsep.join(filter(None, (package, env.get("PYTHONPATH"))))}


def load(path: str) -> Any:
    """The object that `package.module:name` names, or the module that `package.module` names."""
    module_name, _, name = path.partition(":")
    module = _module(path, module_name)
    if name and not hasattr(module, name):
        raise ConfigurationError(
            "load", path, got=f"{module_name} has no {name!r}", expected=f"one of {_public(module)}"
        )
    return getattr(module, name) if name else module


def _module(path: str, module_name: str) -> Any:
    project = str(Home.find().project)
    if project not in sys.path:
        sys.path.insert(0, project)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise ConfigurationError(
                "load",
                path,
                got=f"it imports {error.name!r}, which is not installed",
                remedy="Add it to pyproject.toml.",
            ) from error
        where = Path(project, *module_name.split(".")).with_suffix(".py")
        raise ConfigurationError("load", path, got="no such module", expected=f"the file {where}") from error


def _public(module: Any) -> str:
    return ", ".join(sorted(name for name in vars(module) if not name.startswith("_"))) or "nothing"
