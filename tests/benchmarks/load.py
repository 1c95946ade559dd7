"""Requests at a fixed rate, from a separate process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

PACED = Path(__file__).parent / "clients" / "paced.py"


class Answer(NamedTuple):
    """An answer. `began` is in seconds since 1970; `said` is the version that answered, or the reason."""

    began: float
    seconds: float
    status: int
    said: str


def paced(url: str, body: Any, rate: int, seconds: float, folder: Path) -> list[Answer]:
    answers: list[Answer] = []
    with begun(url, body, rate, seconds, folder, answers) as client:
        assert client.wait(seconds + 60) == 0
    return answers


@contextmanager
def begun(
    url: str, body: Any, rate: int, seconds: float, folder: Path, answers: list[Answer]
) -> Iterator[subprocess.Popen[bytes]]:
    """Sends requests for this long or until the block ends. The answers are available after it."""
    asks, answered = folder / "asks.json", folder / "answers.txt"
    asks.write_text(json.dumps(body))
    with answered.open("wb") as output:
        command = [sys.executable, str(PACED), url, str(asks), str(rate), str(seconds)]
        client = subprocess.Popen(command, stdout=output)
        try:
            yield client
        finally:
            if client.poll() is None:
                client.send_signal(signal.SIGTERM)
            assert client.wait(60) == 0
    for line in answered.read_text().splitlines():
        began, took, status, said = line.split(maxsplit=3)
        answers.append(Answer(float(began), float(took), int(status), said))
