from __future__ import annotations

import argparse

import pytest

from sailplane.cli import parser
from sailplane.commands import twin
from sailplane.commands.twin import PORT


def parsed(*line: str) -> argparse.Namespace:
    return parser(line[0]).parse_args(line)


@pytest.mark.parametrize(
    ("line", "command", "given"),
    [
        ([], "serve", {"host": "127.0.0.1", "port": PORT}),
        (["--port", "8080", "--host", "::1"], "serve", {"host": "::1", "port": 8080}),
        (["key", "add", "alice"], "add_key", {"user": "alice", "stdin": False}),
        (["key", "list"], "list_keys", {}),
        (["key", "revoke", "ab12"], "revoke_key", {"id": "ab12"}),
        (["algorithm", "alice/echo", "echo.py"], "put_algorithm", {"name": "alice/echo", "file": "echo.py"}),
    ],
)
def test_a_line_runs_its_command(line: list[str], command: str, given: dict[str, object]) -> None:
    arguments = parsed("twin", "algorithmia", *line)
    assert arguments.command is getattr(twin, command)
    assert given.items() <= vars(arguments).items()


def test_insights_are_all_or_those_of_an_algorithm() -> None:
    assert (parsed("insights").json, parsed("insights").algorithm) == (False, None)
    assert parsed("insights", "--json", "--algorithm", "local/flights").algorithm == "local/flights"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("twin", "algorithmia", f"--port={port}")
    assert "a port from 1 to 65535" in capsys.readouterr().err
