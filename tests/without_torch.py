"""`pytest --without-torch`: leaves out the test files that import torch, and says how many. A plug-in, listed in
tests/conftest.py.

For an environment without torch, whose builds take gigabytes on most versions of Python. Without the option, a missing
torch is an error.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

MISSING = "ModuleNotFoundError: No module named 'torch'"
LEFT_OUT = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="leave out the test files that import torch")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = set()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, Any]:
    report = yield
    if report.failed and collector.config.getoption("without_torch") and MISSING in str(report.longrepr):
        collector.config.stash[LEFT_OUT].add(report.nodeid)
        return pytest.CollectReport(report.nodeid, "passed", None, [])
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = sorted(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT_OUT].update(getattr(node, "workeroutput", {}).get("left_out", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash[LEFT_OUT]
    if left_out:
        files = len({*Path(config.rootpath, "tests/unit").rglob("test_*.py")})
        terminalreporter.write_line(f"Left out {len(left_out)} of {files} test files, which import torch.")
