"""`python healthy.py URL [COMPONENT]` exits with 0 if the URL answers 200 and, with a COMPONENT, Airflow's health
report there says so. `python healthy.py FILE SECONDS` exits with 0 if the file was touched that recently.
Standard library only: it runs every few seconds in every container."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener


def complaint(url: str, component: str | None = None) -> str | None:
    """Describes the fault, or returns None. `component` is scheduler, dag_processor or triggerer; for a file, its
    greatest age in seconds."""
    if url.startswith("/"):
        return _stale(Path(url), float(component or 60))
    try:
        # Docker hands its own proxy to every container; it must not be asked for a neighbour.
        with build_opener(ProxyHandler({})).open(url, timeout=4) as response:
            body = response.read()
    except HTTPError as error:
        error.close()
        return f"{url} answers {error.code}"
    except OSError as error:
        return f"{url} does not answer: {error}"
    return _ailing(body, component) if component else None


def _stale(file: Path, seconds: float) -> str | None:
    try:
        age = time.time() - file.stat().st_mtime
    except OSError as error:
        return f"{file} cannot be read: {error}"
    return None if age < seconds else f"{file} was last touched {age:.0f} s ago; expected less than {seconds:.0f} s"


def _ailing(body: bytes, component: str) -> str | None:
    try:
        status = json.loads(body)[component]["status"]
    except (ValueError, KeyError, TypeError):
        return f"the report has no {component}: {body[:200]!r}"
    return None if status == "healthy" else f"{component} is {status}"


if __name__ == "__main__":
    sys.exit(complaint(*sys.argv[1:]))
