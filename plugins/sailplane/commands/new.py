"""`sailplane new NAME`: writes a small working project, in which users replace the data and the model by their own."""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sailplane.errors import ConfigurationError
from sailplane.files import FULL, no_room
from sailplane.home import Home

TEMPLATE: Final = Path(__file__).parent / "template"
# The name of the template's project in its files and their paths.
PLACEHOLDER: Final = "your_project"
LONGEST_NAME: Final = 40
# Paths that every checkout has.
EXPECTED: Final = ("pyproject.toml", "dags", "include", "tests/unit/include/conftest.py")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the name of the project, its DAG and its model: lower-case letters, digits and _")
    parser.set_defaults(command=new)


def new(home: Home, arguments: argparse.Namespace) -> int:
    """Writes include/NAME/, tests/unit/include/NAME/ and dags/NAME.py. Raises ConfigurationError, and writes nothing,
    for an invalid name or a folder that is not a checkout."""
    name = arguments.name
    check_checkout(home.project)
    check_name(home.project, name)
    files = contents(name)
    write(home.project, name, files)
    sys.stdout.write("".join(f"{path}\n" for path in files) + next_steps(name))
    return 0


def check_checkout(project: Path) -> None:
    missing = [path for path in EXPECTED if not (project / path).exists()]
    if missing:
        raise ConfigurationError(
            "write a project into",
            project,
            got=f"it has no {' and no '.join(missing)}",
            expected="a checkout of Sailplane",
            remedy="Change into the checkout, or set SAILPLANE_PROJECT.",
        )


def check_name(project: Path, name: str) -> None:
    """Raises ConfigurationError unless the name is valid for a DAG, a model and a module, and not in use."""
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}", name) or keyword.iskeyword(name):
        raise _refused(
            name,
            "not a name for a Python module",
            f"a lower-case letter, then letters, digits and _, at most {LONGEST_NAME} characters, not a keyword",
        )
    for path in (*targets(name), Path("include", f"{name}.py")):
        if os.path.lexists(project / path):
            raise _refused(name, f"{path} exists", "a new name")
    if (project / name).exists() or importlib.util.find_spec(name):
        raise _refused(name, f"a Python module is called {name}", "another name")


def targets(name: str) -> list[Path]:
    """The paths that appear in the checkout, in this order: the DAG is last, so that Airflow never parses it without
    its code."""
    return [Path("include", name), Path("tests/unit/include", name), Path("dags", f"{name}.py")]


def contents(name: str) -> dict[Path, str]:
    """The text of each file of the project by its path in the checkout."""
    files = sorted(path for path in TEMPLATE.rglob("*") if path.suffix in (".py", ".yaml"))
    return {
        Path(_named(str(path.relative_to(TEMPLATE)), name)): _named(path.read_text(encoding="utf-8"), name)
        for path in files
    }


def write(project: Path, name: str, files: Mapping[Path, str]) -> None:
    """Writes all of the files or none. Raises ConfigurationError if the system refuses, StorageError if the disk is
    full."""
    try:
        with _draft(project) as draft:
            for path, text in files.items():
                _write(draft, path, text)
            _move(draft, project, targets(name))
    except OSError as error:
        if error.errno in FULL:
            raise no_room("write", project, disk=project, number=error.errno or 0) from error
        raise ConfigurationError(
            "write", error.filename2 or error.filename, got=error.strerror, remedy="Nothing was written."
        ) from error


def next_steps(name: str) -> str:
    return (
        f"\nTest it:  make fast, or, once that has installed pytest, .venv/bin/pytest tests/unit/include/{name}\n"
        f"Run it:   sailplane airflow dags test {name}\n"
        "Next:     include/README.md\n"
    )


@contextmanager
def _draft(project: Path) -> Iterator[Path]:
    """A temporary folder on the disk of the targets, so that each rename is atomic."""
    draft = Path(tempfile.mkdtemp(prefix=".new-", dir=project))
    try:
        yield draft
    finally:
        shutil.rmtree(draft)


def _move(draft: Path, project: Path, paths: Sequence[Path]) -> None:
    moved: list[Path] = []
    try:
        for path in paths:
            (draft / path).rename(project / path)
            moved.append(path)
    except BaseException:
        for path in moved:
            (project / path).rename(draft / path)
        raise


def _write(draft: Path, path: Path, text: str) -> None:
    """Makes the file readable by all, like other source code; files written by commands are private otherwise."""
    file = draft / path
    for folder in reversed(path.parents[:-1]):
        (draft / folder).mkdir(exist_ok=True)
        (draft / folder).chmod(0o755)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)


def _named(text: str, name: str) -> str:
    return text.replace(PLACEHOLDER, name)


def _refused(name: str, got: str, expected: str) -> ConfigurationError:
    return ConfigurationError("create the project", repr(name), got=got, expected=expected)
