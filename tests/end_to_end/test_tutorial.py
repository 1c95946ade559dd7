"""The tutorial of include/README.md, command by command, in a separate checkout. Every command exits as the guide shows
and prints every line of the guide, with other numbers.

It takes two minutes: it starts a platform and runs the whole DAG of the project that the tutorial adds."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform import Platform, started
from tests.unit.guides import blocks

CHECKOUT = Path(__file__).parents[2]
GUIDE = "include/README.md"
# The tutorial is the guide's first chapter.
LINES = (CHECKOUT / GUIDE).read_text().partition("\n## The data\n")[0].count("\n")
STEPS = [step for block in blocks(guides=(GUIDE,)) if block.line < LINES for step in block.outputs]
COPIED = (
    "pyproject.toml",
    "tests/conftest.py",
    "tests/programs.py",
    "tests/without_torch.py",
    "tests/unit/include/conftest.py",
)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("tutorial")
    project = folder / "checkout"
    for name in ("dags", "include", "tests/unit/include"):
        (project / name).mkdir(parents=True)
    for name in COPIED:
        shutil.copy(CHECKOUT / name, project / name)
    (project / "plugins").symlink_to(CHECKOUT / "plugins")
    with started(folder / "home", project) as running:
        yield running


def shown(text: str) -> list[str]:
    """Returns the lines without the parts that differ from run to run: numbers, dates, digests and the width of
    columns. An ellipsis at the end of a line stands for the rest of the line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    masked = re.sub(r"[0-9a-f.:-]*\d[0-9a-fT.:-]*", "#", plain)
    return [" ".join(line.removesuffix("...").split()) for line in masked.splitlines() if line.strip()]


def output(platform: Platform, command: str) -> str:
    """Returns the program's output, from stdout and stderr."""
    program, *arguments = shlex.split(command)
    if program == "sailplane":
        ended = platform.sailplane(*arguments)
    else:
        assert program == ".venv/bin/pytest"
        env = {key: value for key, value in platform.env.items() if not key.startswith("SAILPLANE_")}
        pytests = [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider"]
        ended = subprocess.run(pytests, cwd=platform.home.project, env=env, capture_output=True, text=True, timeout=300)
    return ended.stdout + ended.stderr


# In the order of the guide: each step needs those before it.
@pytest.mark.parametrize(("command", "expected"), STEPS, ids=[command[:40] for command, _ in STEPS])
def test_a_command_of_the_tutorial_prints_what_the_guide_shows(platform: Platform, command: str, expected: str) -> None:
    printed = output(platform, command)
    lines = iter(shown(printed))
    for line in shown(expected):
        assert any(line in other for other in lines), f"{line!r} is not in:\n{printed}"
