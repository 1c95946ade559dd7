"""The installed packages of a training, and how they differ from the current ones."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import sailplane

# The environment variable with the digest of the packages installed when the process started.
STARTED_WITH: Final = "STARTED_WITH"


@cache
def installed() -> str:
    """Sorted lines `name==version` for all packages on the path, Python, the platform, and this package by its sources.

    Versions come from the names of the metadata folders (PEP 376, PEP 427), because reading the metadata takes 50 times
    as long.
    """
    found = {"python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}
    for folder in sys.path:
        for name, version in _packages(folder or "."):
            found.setdefault(name, version)
    found["sailplane"] = _own()
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def differences(then: str, now: str) -> tuple[str, ...]:
    """The packages of `then` that are missing or have another version in `now`."""
    before, after = _read(then), _read(now)
    return tuple(
        f"{name} {version} then, {after.get(name, 'not installed')} now"
        for name, version in before.items()
        if after.get(name) != version
    )


def version_of(package: str) -> str:
    """The version of an installed package, by its normalized name; empty if it is not installed."""
    return _read(installed()).get(package, "")


def _packages(folder: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(Path(folder).glob("*-info")):
        if matched := re.fullmatch(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info", entry.name):
            yield re.sub(r"[-_.]+", "-", matched[1]).lower(), matched[2]


def _own() -> str:
    package, content = Path(sailplane.__file__).parent, hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content.update(f"{file.relative_to(package)}\n".encode() + file.read_bytes())
    return content.hexdigest()[:12]


def _read(text: str) -> Mapping[str, str]:
    return dict(line.split("==", 1) for line in text.splitlines())
