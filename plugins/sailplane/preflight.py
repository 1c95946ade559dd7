"""Checks of the machine before an installation: the version of Python, open files, file names, free disk space.

`bootstrap.py` imports this under the system's Python, so it uses only the standard library, and syntax that Python 3.6
can read.
"""

import os
import resource
import shutil
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 14)
# supervisord has to be able to open this many.
FILES = 1024


class BootstrapError(Exception):
    """One line for the user, with the remedy."""


def check_machine(project: Path) -> None:
    """Raises BootstrapError if the project cannot be installed or run under this Python and these limits."""
    _require_python()
    _require_files()
    _require_encoding(project)


def _require_python() -> None:
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    version = ".".join(str(part) for part in sys.version_info[:3])
    raise BootstrapError(
        f"this is Python {version} ({sys.executable}); expected 3.11 to 3.14. Install one of them, for example with "
        "`apt-get install python3.11 python3.11-venv`, `brew install python@3.13` or `uv python install 3.13`, "
        "and run make again (`make PYTHON=/path/to/python ...` names one)."
    )


def _require_files() -> None:
    """Checks only the hard limit: programs that need more raise the soft limit themselves."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= FILES:
        return
    raise BootstrapError(
        f"a process may open {hard} files here (`ulimit -Hn`); expected {FILES} or more. Raise the hard limit, for "
        f"example with `sudo prlimit --pid $$ --nofile={FILES * 4}` in this shell, or permanently with the line "
        f"`* hard nofile {FILES * 4}` in /etc/security/limits.conf and a new login, and run make again."
    )


def _require_encoding(project: Path) -> None:
    """Other encodings than UTF-8 would write the path differently. In the locale C, Python uses UTF-8."""
    encoding = sys.getfilesystemencoding()
    if is_ascii(str(project)) or encoding.lower() == "utf-8":
        return
    # A terminal with that encoding could not show the path itself.
    raise BootstrapError(
        f"the path {str(project)!a} has letters outside ASCII, and the encoding of file names here is {encoding}; "
        "expected UTF-8. Run `LC_ALL=C.UTF-8 make up`, or move the project to a path in ASCII."
    )


def is_ascii(text: str) -> bool:
    return all(ord(letter) < 128 for letter in text)


def check_space(project: Path, venv: Path) -> None:
    """Raises BootstrapError if the disk cannot hold the packages. Most of the space is for torch: on Linux, the one
    from PyPI includes CUDA. If torch is already installed, nothing large is left to install."""
    version = "python{}.{}".format(*sys.version_info[:2])
    if (venv / "lib" / version / "site-packages" / "torch").exists():
        return
    small = not sys.platform.startswith("linux") or _cpu_torch()
    free, needed = free_bytes(project) / 1e9, 2.5 if small else 7.0
    if free < needed:
        cpu = "PyTorch without CUDA needs only 2.5 GB: set PIP_EXTRA_INDEX_URL to PyTorch's CPU index."
        raise BootstrapError(
            f"the disk that holds {project} has {free:.1f} GB free; {venv.name} needs {needed} GB. "
            f"Free some space. {'' if small else cpu}".rstrip()
        )


def _cpu_torch() -> bool:
    """Whether an index or a folder of wheels offers a CPU build of torch for this Python."""
    indexes = " ".join(os.environ.get(name, "") for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"))
    folders = [link for link in os.environ.get("PIP_FIND_LINKS", "").split() if "://" not in link]
    wheels = "torch-*+cpu-cp{}{}-*.whl".format(*sys.version_info[:2])
    return "cpu" in indexes or any(any(Path(folder).glob(wheels)) for folder in folders)


def free_bytes(project: Path) -> int:
    return shutil.disk_usage(str(project)).free


def disk_full(project: Path) -> str:
    """The error for a full disk."""
    return (
        f"the disk is full: {free_bytes(project) / 1e6:.0f} MB are free where {project} lies. "
        "Free some space there (or where TMPDIR is), and run make again."
    )
