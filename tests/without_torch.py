"""`pytest --without-torch` leaves out the test files that import torch and the tests marked `torch`, and says how many.
A plug-in, listed in tests/conftest.py, for environments without torch, whose builds take gigabytes on most versions of
Python. Without the option, a missing torch is an error."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

MISSING = "ModuleNotFoundError: No module named 'torch'"
FILES = pytest.StashKey[set[str]]()
TESTS = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="leave out the tests that need torch")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FILES], config.stash[TESTS] = set(), set()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, Any]:
    report = yield
    if report.failed and collector.config.getoption("without_torch") and MISSING in str(report.longrepr):
        collector.config.stash[FILES].add(report.nodeid)
        return pytest.CollectReport(report.nodeid, "passed", None, [])
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("without_torch"):
        left_out = [item for item in items if item.get_closest_marker("torch")]
        config.stash[TESTS].update(item.nodeid for item in left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["without_torch"] = [sorted(session.config.stash[key]) for key in (FILES, TESTS)]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    files, tests = getattr(node, "workeroutput", {}).get("without_torch", ((), ()))
    node.config.stash[FILES].update(files)
    node.config.stash[TESTS].update(tests)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    files, tests = len(config.stash[FILES]), len(config.stash[TESTS])
    if files or tests:
        of = len({*Path(config.rootpath, "tests/unit").rglob("test_*.py")})
        terminalreporter.write_line(f"Left out without torch: {files} of {of} test files, and {tests} more tests.")
