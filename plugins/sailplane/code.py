"""Loads user code by path, like `"include.churn.model:train"`, so that parsing a DAG does not import it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import sailplane
from sailplane.errors import ConfigurationError
from sailplane.home import Home


def with_package(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment with this package on PYTHONPATH, because a checkout is not installed."""
    package = str(Path(sailplane.__file__).resolve().parents[1])
    return {**env, "PYTHONPATH": os.pathsep.join(filter(None, (package, env.get("PYTHONPATH"))))}


# The copy in use, if any.
_used: list[Path] = []


def root() -> Path:
    """The folder from which user code is loaded: the copy that the run uses, or else the project."""
    return _used[-1] if _used else Home.find().project


def use(folder: Path) -> None:
    """Loads user code from this copy from now on, in this process and its children. Forgets modules that were loaded
    from elsewhere. Modules that the copy lacks still come from the project, except under `include`."""
    copied = {entry.stem for entry in folder.iterdir() if not entry.is_symlink()}
    for name in [name for name in sys.modules if name.partition(".")[0] in copied]:
        del sys.modules[name]
    before = {str(copy) for copy in _used}
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry not in before)]
    paths = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in before]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *paths])
    _used[:] = [folder]
    importlib.invalidate_caches()
    if (folder / "include").is_dir() and not (folder / "include" / "__init__.py").exists():
        # A namespace package would also contain the project's modules.
        package = ModuleType("include")
        package.__path__ = [str(folder / "include")]
        sys.modules["include"] = package


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
    project = str(root())
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
