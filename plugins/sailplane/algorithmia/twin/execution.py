"""Runs an algorithm in a process with a temporary folder, and without this server's environment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sailplane.algorithmia.twin.refusals import Refusal

AT_A_TIME: Final = max(2, os.cpu_count() or 2)
MOST_STDOUT_BYTES: Final = 2**16
_RUNNER: Final = Path(__file__).with_name("runner.py")


@dataclass(frozen=True)
class Input:
    """`value` is text, a JSON value or Base64 text, by the content type: text, json, binary."""

    content_type: str
    value: Any


@dataclass(frozen=True)
class Output:
    content_type: str
    result: Any
    stdout: str = ""


class Executions:
    """Runs at most AT_A_TIME processes; later calls wait."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_A_TIME)

    async def run(self, source: str, given: Input, seconds: float) -> Output:
        """Raises Refusal with the exception's message and trace; 500 if the process died."""
        with tempfile.TemporaryDirectory(prefix="sailplane-algorithm-") as scratch:
            folder = Path(scratch)
            (folder / "source.py").write_text(source)
            (folder / "call.json").write_text(json.dumps({"content_type": given.content_type, "value": given.value}))
            try:
                async with asyncio.timeout(seconds), self._places:
                    status = await _ended(folder)
            except TimeoutError as error:
                message = f"The algorithm did not end within {seconds:g} s"
                raise Refusal(400, message, error_type="TimeoutError") from error
            return _output(folder, status)


async def _ended(folder: Path) -> int:
    """The exit status. Kills all processes that it started."""
    with (folder / "stdout").open("wb") as stdout:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(_RUNNER), str(folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stdout,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        _kill(process.pid)
        await process.wait()


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _output(folder: Path, status: int) -> Output:
    stdout = _end(folder / "stdout")
    answer = folder / "answer.json"
    if status or not answer.exists():
        raise Refusal(500, f"The algorithm's process ended with status {status}: {stdout}", error_type="SystemError")
    found = json.loads(answer.read_text())
    if "message" in found:
        trace = found["stacktrace"]
        # The Python client reads the second name.
        details = {"error_type": "AlgorithmError", "stacktrace": trace, "stack_trace": trace}
        raise Refusal(400, found["message"], **details)
    return Output(found["content_type"], found["result"], stdout)


def _end(file: Path) -> str:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - MOST_STDOUT_BYTES))
        return opened.read().decode(errors="replace")
