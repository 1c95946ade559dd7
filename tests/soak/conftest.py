"""The table of `make soak`, with each line `claim | measured | draws` that a test printed."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = [line for one in reports for line in one.capstdout.splitlines() if line.count(" | ") == 2]
    if lines:
        terminalreporter.write_sep("-", "claim | measured | draws")
        terminalreporter.write_line("\n".join(sorted(lines)))
