"""`sailplane run daily`: runs the platform's own housekeeping commands once a day.

Mostly idle, so it imports only the standard library; each command runs in a child process, at low priority.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import IO, Final

NAME: Final = "daily"
# `sailplane` commands, in the order in which they run. Each succeeds once in DAY_SECONDS.
COMMANDS: Final[tuple[tuple[str, ...], ...]] = (("ledger", "backup", "--if-file"), ("clean", "--yes"))
DAY_SECONDS: Final = 24 * 3600.0
LOOK_SECONDS: Final = 30.0
# In its first minutes a laptop is busy starting the services.
FIRST_SECONDS: Final = 300.0
FAILED_SECONDS: Final = 900.0
LONGEST_SECONDS: Final = 4 * 3600.0
# A command that hangs must not block the others forever.
LIMIT_SECONDS: Final = 2 * 3600.0
STOP_SECONDS: Final = 5.0
VERSION: Final = 1


@dataclass(frozen=True)
class CommandRecord:
    """The history of a command. Times are in seconds since the epoch; `failures` counts those since the last
    success."""

    started: float = 0.0
    ended: float = 0.0
    succeeded: float = 0.0
    failures: int = 0
    reason: str | None = None

    def due(self) -> float:
        """When the command should run next: at once if it never ended, or if it was interrupted."""
        if self.failures:
            return self.ended + min(FAILED_SECONDS * 2.0 ** min(self.failures - 1, 9), LONGEST_SECONDS)
        return self.succeeded + DAY_SECONDS if self.succeeded else 0.0


def main(file: Path, commands: Sequence[tuple[str, ...]] = COMMANDS) -> None:
    """Runs forever, until SIGTERM, which also stops a running command."""
    os.nice(10)
    begin, records = time.monotonic() + FIRST_SECONDS, read(file)
    write(file, records)
    while True:
        time.sleep(LOOK_SECONDS)
        if time.monotonic() >= begin:
            for command in commands:
                _run_if_due(file, command, records)
        # A health check reads its age to see that this loop still runs.
        file.touch()


def read(file: Path) -> dict[str, CommandRecord]:
    """The records, by command. Empty if the file is missing or damaged: then every command is due."""
    try:
        return {name: CommandRecord(**fields) for name, fields in json.loads(file.read_text())["commands"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        sys.stderr.write(f"{file} is damaged ({error}): all commands count as due\n")
        return {}


def write(file: Path, records: dict[str, CommandRecord]) -> None:
    """Writes the records. If this fails, on a full disk for example, only the next start lacks them."""
    text = json.dumps({"version": VERSION, "commands": {name: asdict(record) for name, record in records.items()}})
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(text)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        sys.stderr.write(f"write {file}: {error}\n")


def _run_if_due(file: Path, command: tuple[str, ...], records: dict[str, CommandRecord]) -> None:
    name, now = " ".join(command), time.time()
    last = records.get(name, CommandRecord())
    # A clock that was set back would otherwise postpone a command by as much.
    if last.ended <= now < last.due():
        return
    records[name] = replace(last, started=now)
    write(file, records)
    reason = run(command)
    if reason is None:
        records[name] = CommandRecord(started=now, ended=time.time(), succeeded=now)
    else:
        records[name] = replace(records[name], ended=time.time(), failures=last.failures + 1, reason=reason)
    write(file, records)


def run(command: Sequence[str]) -> str | None:
    """Runs a command to its end. Returns why it failed, or None. It shares this process's output."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "sailplane.cli", *command], stdin=subprocess.DEVNULL, stderr=errors
        )
        code = _wait(process)
        output = _text(errors)
    sys.stderr.write(output)
    if code is None:
        return f"it was stopped after {LIMIT_SECONDS / 3600:.0f} hours"
    return None if code == 0 else _reason(output, code)


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code, or None after a timeout."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        _end(process)
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        _end(process)
        return None
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _text(file: IO[bytes]) -> str:
    """The end of the file's text."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 64_000))
    return file.read().decode(errors="replace")


def _reason(output: str, code: int) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("sailplane: ") for line in lines if line.startswith("sailplane: ")]
    got = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
    return (errors or lines or [got])[-1]


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]))
