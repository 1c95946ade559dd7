"""The project's own code as one archive: what a training can be done again with."""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sailplane.errors import ModelError

# Code, and what code reads beside itself; data belongs into the store.
SUFFIXES: Final = frozenset({".py", ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".txt", ".sql"})
MOST_BYTES: Final = 2**18
# Equal sources, equal bytes.
_TIME: Final = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Sources:
    """`digest` is the SHA-256 of `archive`, a zip of paths as they are under the project."""

    digest: str
    archive: bytes


def collect(project: Path, code_paths: Iterable[str]) -> Sources:
    """The folders `include/<name>` that hold the code paths, and those that their modules import. Code of an installed
    package is in the list of packages instead."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in _files(project, code_paths):
            name = zipfile.ZipInfo(file.relative_to(project).as_posix(), _TIME)
            archive.writestr(name, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return Sources(hashlib.sha256(packed.getvalue()).hexdigest(), packed.getvalue())


def unpack(archive: bytes, digest: str, folder: Path) -> None:
    """Raises ModelError if the archive is not the one of that digest."""
    if (got := hashlib.sha256(archive).hexdigest()) != digest:
        raise ModelError("unpack code", digest[:12], got=f"digest {got[:12]}", remedy="Restore it from a backup.")
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(folder)


def _files(project: Path, code_paths: Iterable[str]) -> list[Path]:
    """Sorted. Those of a place that one of the others imports are among them."""
    waiting = {path.partition(":")[0] for path in code_paths if path}
    tops = {module.partition(".")[0] for module in waiting}
    found: dict[Path, list[Path]] = {}
    while waiting:
        place = _place(project, waiting.pop())
        if place is None or place in found:
            continue
        found[place] = list(_under(place))
        imported = {name for file in found[place] if file.suffix == ".py" for name in _imports(file)}
        waiting |= {name for name in imported if name.partition(".")[0] in tops}
    return sorted(file for files in found.values() for file in files)


def _place(project: Path, module: str) -> Path | None:
    """The folder or file of the project that holds the module; None if the module is not the project's."""
    # include/ holds projects, and is none.
    parts = module.split(".")[: 2 if module.startswith("include.") else 1]
    folder = project.joinpath(*parts)
    file = folder.with_suffix(".py")
    if folder.is_dir() and parts != ["include"]:
        return folder
    return file if file.is_file() else None


def _under(place: Path) -> Iterator[Path]:
    for file in [place] if place.is_file() else place.rglob("*"):
        hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(place).parts)
        if hidden or file.suffix not in SUFFIXES or not file.is_file():
            continue
        if file.suffix == ".py" or file.stat().st_size <= MOST_BYTES:
            yield file


def _imports(file: Path) -> Iterator[str]:
    """Absolute ones: relative ones stay in the folder."""
    # What Python cannot read was not imported by the training.
    with suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
