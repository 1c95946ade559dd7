"""The code of an extract: its module, the project's modules that it imports directly or indirectly, and the files (SQL,
settings) that they name in their own folders. The code is read, never run."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pandas as pd

from sailplane.datasets.fingerprints import Fingerprint, SourcePart

# Data files that code may read from its own folder.
SUFFIXES: Final = frozenset({".sql", ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".txt", ".csv"})
LONGEST_NAME: Final = 255


class Code:
    """The function at a code path, as an extract. Its fingerprint covers all bytes of its modules, including comments
    and white space. `load` is called when rows are needed. `time` names the column that assigns rows to days."""

    def __init__(
        self, path: str, *, project: Path, time: str, load: Callable[[], Callable[[datetime, datetime], pd.DataFrame]]
    ) -> None:
        # Computed before the code is loaded, so that the next run notices an edit in between.
        self._fingerprint = Fingerprint(about=f"{path} by {time}", parts=parts(path.partition(":")[0], project))
        self._load = load

    def __call__(self, start: datetime, end: datetime) -> pd.DataFrame:
        return self._load()(start, end)

    def fingerprints(self, days: tuple[datetime, ...]) -> Mapping[datetime, Fingerprint]:
        return dict.fromkeys(days, self._fingerprint)


def parts(module: str, project: Path) -> dict[str, SourcePart]:
    """Digest and size of each file of `module`, by its path in the project. For an installed module this is only its
    own file. Imports by a computed name are not found."""
    found: dict[Path, None] = {}
    waiting = [module]
    while waiting:
        for file in _files(waiting.pop(), project):
            if file not in found:
                found[file] = None
                names, data_files = _read(file, project)
                waiting += names
                found |= dict.fromkeys(data_files)
    if not found:
        return _installed(module)
    return {file.relative_to(project).as_posix(): _part(file) for file in sorted(found)}


def _part(file: Path) -> SourcePart:
    # Read in pieces: a table in this folder may be larger than the memory.
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
        return SourcePart(mark=digest.hexdigest()[:16], size=opened.tell())


def _installed(module: str) -> dict[str, SourcePart]:
    with suppress(ModuleNotFoundError, ValueError):
        spec = find_spec(module)
        if spec and spec.origin and Path(spec.origin).is_file():
            return {module: _part(Path(spec.origin))}
    return {}


def _files(module: str, project: Path) -> Iterator[Path]:
    """The project files that an import of `module` runs, including its parent packages."""
    parent = project
    for name in filter(None, module.split(".")):
        parent = parent / name
        for file in (parent / "__init__.py", parent.with_name(f"{name}.py")):
            if file.is_file():
                yield file


def _read(file: Path, project: Path) -> tuple[list[str], list[Path]]:
    """The modules that a file imports, and the files in its folder that it names."""
    names: list[str] = []
    data_files: list[Path] = []
    # A module with a syntax error imports nothing.
    with suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = _base(node, file, project)
                names += [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                data_files += _named(node.value, file.parent)
    return names, data_files


def _base(node: ast.ImportFrom, file: Path, project: Path) -> str:
    """The module that `from X import ...` names, where X may be relative."""
    if not node.level:
        return node.module or ""
    package = file.relative_to(project).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _named(text: str, folder: Path) -> Iterator[Path]:
    if len(text) <= LONGEST_NAME and Path(text).suffix in SUFFIXES and "\n" not in text and "\0" not in text:
        # Not resolved, because large files in a run's copy of the code are links to the project.
        file = Path(os.path.normpath(folder / text))
        # Path.is_file raises for a name that is too long for the disk.
        if file.is_relative_to(folder) and os.path.isfile(file):  # noqa: PTH113
            yield file
