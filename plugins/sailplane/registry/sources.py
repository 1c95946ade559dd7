"""Archives the project's own code, so that a training can be reproduced."""

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

# Code, and files that code reads; data belongs in the store.
SUFFIXES: Final = frozenset({".py", ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".txt", ".sql"})
MOST_BYTES: Final = 2**18
# A snapshot's limits for files other than code: for each file, and for all together.
MOST_OTHER: Final = 2**20
MOST_DATA: Final = 2**26
# A fixed time, so that equal sources give equal bytes.
_TIME: Final = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Sources:
    """`digest` is the SHA-256 of `archive`, a zip file with paths relative to the project."""

    digest: str
    archive: bytes


def collect(project: Path, code_paths: Iterable[str]) -> Sources:
    """Archives the folders `include/<name>` of the code paths, and the folders that their modules import. Installed
    packages are omitted, because the list of packages records them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in _files(project, code_paths):
            name = zipfile.ZipInfo(file.relative_to(project).as_posix(), _TIME)
            archive.writestr(name, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return Sources(hashlib.sha256(packed.getvalue()).hexdigest(), packed.getvalue())


def snapshot(project: Path, code_paths: Iterable[str]) -> Sources:
    """Archives all of `include/`, and what `collect` archives from elsewhere. Omits files other than code that are
    larger than 1 MiB or exceed 64 MiB in total."""
    files = dict.fromkeys(sorted({*_small(project / "include"), *_files(project, code_paths)}))
    packed = io.BytesIO()
    # Stored, not compressed, so that equal files give equal bytes on every machine.
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(file.relative_to(project).as_posix(), _TIME), file.read_bytes())
    return Sources(hashlib.sha256(packed.getvalue()).hexdigest(), packed.getvalue())


def changed(before: bytes, after: bytes) -> tuple[str, ...]:
    """The sorted paths that differ between two archives, or that one of them lacks."""
    old, new = _checksums(before), _checksums(after)
    return tuple(sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path)))


def paths(project: Path, code_paths: Iterable[str]) -> tuple[str, ...]:
    """The files that `collect` archives, relative to the project."""
    return tuple(file.relative_to(project).as_posix() for file in _files(project, code_paths))


def _checksums(archive: bytes) -> dict[str, int]:
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        return {entry.filename: entry.CRC for entry in packed.infolist()}


def visible(folder: Path) -> Iterator[Path]:
    """All files below `folder` except hidden ones and Python's caches."""
    for file in folder.rglob("*") if folder.is_dir() else ():
        hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(folder).parts)
        if not hidden and file.is_file():
            yield file


def _small(folder: Path) -> Iterator[Path]:
    left = MOST_DATA
    for file in sorted(visible(folder)):
        size = file.stat().st_size
        if file.suffix == ".py":
            yield file
        elif size <= min(MOST_OTHER, left):
            left -= size
            yield file


def unpack(archive: bytes, digest: str, folder: Path) -> None:
    """Raises ModelError if the archive does not have that digest."""
    if (got := hashlib.sha256(archive).hexdigest()) != digest:
        raise ModelError("unpack code", digest[:12], got=f"digest {got[:12]}", remedy="Restore it from a backup.")
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(folder)


def _files(project: Path, code_paths: Iterable[str]) -> list[Path]:
    """The files of the code paths' packages, and of those that they import, sorted."""
    waiting = {path.partition(":")[0] for path in code_paths if path}
    tops = {module.partition(".")[0] for module in waiting}
    found: dict[Path, list[Path]] = {}
    while waiting:
        package = _package(project, waiting.pop())
        if package is None or package in found:
            continue
        found[package] = list(_under(package))
        imported = {name for file in found[package] if file.suffix == ".py" for name in _imports(file)}
        waiting |= {name for name in imported if name.partition(".")[0] in tops}
    return sorted(file for files in found.values() for file in files)


def _package(project: Path, module: str) -> Path | None:
    """The folder or file of the project that holds the module; None if the module is not the project's."""
    # include/ itself is not a project; each of its folders is.
    parts = module.split(".")[: 2 if module.startswith("include.") else 1]
    folder = project.joinpath(*parts)
    file = folder.with_suffix(".py")
    if folder.is_dir() and parts != ["include"]:
        return folder
    return file if file.is_file() else None


def _under(package: Path) -> Iterator[Path]:
    for file in [package] if package.is_file() else visible(package):
        if file.suffix == ".py" or (file.suffix in SUFFIXES and file.stat().st_size <= MOST_BYTES):
            yield file


def _imports(file: Path) -> Iterator[str]:
    """The absolute imports; relative ones stay in the folder."""
    # The training cannot have imported a file that Python cannot parse.
    with suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
