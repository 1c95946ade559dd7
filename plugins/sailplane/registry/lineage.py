"""The origin of a training besides its data, stored by digest: the project's sources at code/<sha256>.zip, and the list
of installed packages at environments/<sha256>.txt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sailplane.errors import DataError, ModelError
from sailplane.registry import environment
from sailplane.registry.sources import collect
from sailplane.storage import Storage


@dataclass(frozen=True)
class Origin:
    """`code` and `environment` are the digests of `archive` and `packages`."""

    code: str
    archive: bytes
    environment: str
    packages: str

    @classmethod
    def of(cls, project: Path, code_paths: Iterable[str]) -> Origin:
        """The origin of a training that runs now in this process."""
        sources, packages = collect(project, code_paths), environment.installed()
        return cls(sources.digest, sources.archive, environment.digest(packages), packages)

    def keep(self, storage: Storage) -> None:
        storage.keep(code_path(self.code), self.archive)
        storage.keep(environment_path(self.environment), self.packages.encode())


def code_path(digest: str) -> str:
    return f"code/{digest}.zip"


def environment_path(digest: str) -> str:
    return f"environments/{digest}.txt"


def archived_code(storage: Storage, digest: str) -> bytes:
    """The archive with that digest. Raises ModelError if the store does not have it."""
    try:
        return storage.get(code_path(digest))
    except FileNotFoundError as error:
        remedy = "Restore it from a backup of the store."
        raise ModelError("read code", storage.uri(code_path(digest)), got="it is gone", remedy=remedy) from error


def recorded_packages(storage: Storage, digest: str) -> str | None:
    """The list of packages with that digest; None if it is missing or damaged."""
    try:
        packages = storage.read_text(environment_path(digest))
    except (FileNotFoundError, DataError):
        return None
    return packages if environment.digest(packages) == digest else None
