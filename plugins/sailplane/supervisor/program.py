"""supervisord's files for a program, and its state."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sailplane.errors import ConfigurationError

# The variable with the digest of a process's program file.
DIGEST: Final = "PROGRAM_DIGEST"
_SETTING: Final = re.compile(r"""(\w+)=(?:"([^"]*)"|'([^']*)')""")
_STAND_IN: Final = (sys.executable, "-I", "-S", str(Path(__file__).with_name("adopt.py")))


@dataclass(frozen=True)
class Program:
    """One supervised process. `stop_seconds` pass between SIGTERM to the process and SIGKILL to its group. With
    `outlives` it keeps running if supervisord dies, and the next supervisord adopts it (Linux)."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    stop_seconds: int = 10
    priority: int = 999
    autostart: bool = True
    start_seconds: int = 1
    outlives: bool = False


@dataclass(frozen=True)
class ProgramState:
    """`state`: STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL. `pid` is None without a process."""

    state: str
    pid: int | None
    seconds: float
    description: str


def state_of(info: Mapping[str, Any]) -> ProgramState:
    seconds = max(0.0, info["now"] - info["start"]) if info["pid"] else 0.0
    return ProgramState(info["statename"], info["pid"] or None, seconds, info["description"])


def program_file(program: Program, log: Path) -> str:
    given = {**program.environment, **({DIGEST: _digest(program)} if program.outlives else {})}
    environment = ",".join(f"{name}={_quoted(name, value)}" for name, value in sorted(given.items()))
    # A second before supervisord would kill adopt.py.
    started = (*_STAND_IN, str(program.stop_seconds - 1)) if program.outlives else ()
    lines = [
        f"[program:{program.name}]",
        f"command={escaped(shlex.join((*started, *program.command)))}",
        f"environment={escaped(environment)}" if environment else "",
        f"directory={escaped(program.directory)}" if program.directory else "",
        f"priority={program.priority}",
        f"autostart={str(program.autostart).lower()}",
        "autorestart=true",
        f"startsecs={program.start_seconds}",
        "startretries=100",
        f"stopwaitsecs={program.stop_seconds}",
        # SIGTERM goes only to the process, which stops its children itself; SIGKILL goes to the whole group.
        "stopasgroup=false",
        "killasgroup=true",
        "redirect_stderr=true",
        # supervisord expands this one option twice.
        f"stdout_logfile={escaped(escaped(log))}",
        "stdout_logfile_maxbytes=5MB",
        "stdout_logfile_backups=2",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def written_command(text: str) -> tuple[str, ...]:
    """The command in a text from `program_file`."""
    command = _written(text)
    return command[len(_STAND_IN) + 1 :] if outlives(text) else command


def written_digest(text: str) -> str | None:
    """The digest in the environment of a program that outlives supervisord."""
    found = re.search(rf'\b{DIGEST}="(\w+)"', text)
    return found[1] if found else None


def written_environment(text: str) -> dict[str, str]:
    """The environment in a text from `program_file`."""
    line = next((line for line in text.splitlines() if line.startswith("environment=")), "")
    return {name: double or single for name, double, single in _SETTING.findall(line.replace("%%", "%"))}


def changed_settings(before: str, after: str) -> list[str]:
    """The names of what differs between two such texts: `command` or variables; never their values."""
    then, now = written_environment(before), written_environment(after)
    names = (then.keys() | now.keys()) - {DIGEST}
    differing = sorted(name for name in names if then.get(name) != now.get(name))
    return [*(["command"] if written_command(before) != written_command(after) else []), *differing]


def outlives(text: str) -> bool:
    return _written(text)[: len(_STAND_IN)] == _STAND_IN


def _written(text: str) -> tuple[str, ...]:
    line = next(line for line in text.splitlines() if line.startswith("command="))
    return tuple(shlex.split(line.removeprefix("command=").replace("%%", "%")))


def _digest(program: Program) -> str:
    return hashlib.sha256(repr((program.command, sorted(program.environment.items()))).encode()).hexdigest()[:16]


def _quoted(name: str, value: str) -> str:
    quote = '"' if '"' not in value else "'"
    if quote in value or value != value.strip("'\""):
        raise ConfigurationError(
            "pass", name, got="both kinds of quotes, or one at an end", expected="at most one kind, inside"
        )
    return f"{quote}{value}{quote}"


def escaped(value: object) -> str:
    text = str(value)
    if re.search(r"\s[;#]|[\r\n]", text):
        raise ConfigurationError("write for supervisord", repr(text), got="a line break, or ; or # after a space")
    return text.replace("%", "%%")
