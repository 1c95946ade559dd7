"""`python healthy.py URL [COMPONENT]`: exits with 0 if the URL answers 200 and, where Airflow's health report is read,
the component is healthy in it. Standard library only: it runs every few seconds in every container."""

from __future__ import annotations

import json
import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener


def complaint(url: str, component: str | None = None) -> str | None:
    """What is wrong, or None. `component`: scheduler, dag_processor or triggerer."""
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


def _ailing(body: bytes, component: str) -> str | None:
    try:
        status = json.loads(body)[component]["status"]
    except (ValueError, KeyError, TypeError):
        return f"the report has no {component}: {body[:200]!r}"
    return None if status == "healthy" else f"{component} is {status}"


if __name__ == "__main__":
    sys.exit(complaint(*sys.argv[1:]))
