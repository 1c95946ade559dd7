"""`@pytest.mark.needs("chromium")` skips tests whose program is missing. At the end pytest says which tests it skipped
and how to get the program. A plug-in: `pytest_plugins = ["tests.programs"]` in tests/conftest.py."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

# The names under which a program may be installed, and the package that installs it.
PROGRAMS = {
    "chromium": (("chromium", "chromium-browser", "google-chrome"), "apt-get install chromium"),
    "kubectl": (("kubectl",), "apt-get install kubernetes-client"),
    "postgresql": (("postgres",), "apt-get install postgresql"),
    "python3.11": (("python3.11",), "uv python install 3.11"),
}
# Debian keeps PostgreSQL's own programs outside PATH.
PATH = os.pathsep.join(
    (os.environ.get("PATH", os.defpath), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))))
)
MISSING = pytest.StashKey[Counter[str]]()


def find(program: str) -> str | None:
    """Returns the program's path."""
    return next(filter(None, (shutil.which(name, path=PATH) for name in PROGRAMS[program][0])), None)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MISSING] = Counter()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            if program not in PROGRAMS:
                raise pytest.UsageError(f"{item.nodeid} needs {program!r}; expected one of {', '.join(PROGRAMS)}")
            if find(program) is None:
                item.config.stash[MISSING][program] += 1
                pytest.skip(f"{program} is not installed: {PROGRAMS[program][1]}")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    missing = config.stash[MISSING]
    if not missing:
        return
    terminalreporter.section("not run on this machine")
    for program, tests in sorted(missing.items()):
        terminalreporter.write_line(f"{program} (tests that need it: {tests}): {PROGRAMS[program][1]}")
