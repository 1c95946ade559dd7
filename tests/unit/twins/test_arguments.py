from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from sailplane.twins.algorithmia import commands
from sailplane.twins.algorithmia.arguments import PORT, add_arguments, add_insights_arguments


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
def test_a_line_runs_its_command(
    line: list[str], command: str, given: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    monkeypatch.setattr(commands, command, lambda _home, arguments: called.append(vars(arguments)) or 0)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(line)
    assert arguments.command(None, arguments) == 0
    assert given.items() <= called[0].items()


def test_insights_are_all_or_those_of_an_algorithm() -> None:
    parser = argparse.ArgumentParser()
    add_insights_arguments(parser)
    assert (parser.parse_args([]).json, parser.parse_args([]).algorithm) == (False, None)
    assert parser.parse_args(["--json", "--algorithm", "local/flights"]).algorithm == "local/flights"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--port={port}"])
    assert "a port from 1 to 65535" in capsys.readouterr().err


def test_the_command_line_imports_neither_a_database_nor_a_server() -> None:
    script = "import sys, sailplane.twins.algorithmia.arguments; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "starlette", "obstore", "numpy"} & set(ended.stdout.split())
