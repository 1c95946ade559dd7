"""Stores on the replacement of the Hugging Face Hub, and separate processes that use one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from huggingface_hub import close_session, constants

from sailplane.storage.access import Access
from sailplane.storage.hub import HubBackend
from sailplane.storage.retries import RetryPolicy
from tests.hub_server import TOKEN, HubServer, hub_server

ROOT = "hf://datasets/someone/things"
# huggingface_hub's own upload of a large file.
WARNED = "ignore:Use 'content=:DeprecationWarning"
OFF = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
FAST = RetryPolicy(tries=6, seconds=20, first=0.02, longest=0.1)


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Starts a Hub, and sets up huggingface_hub without Xet, telemetry or a developer's own token."""
    for name in OFF:
        monkeypatch.setattr(constants, name, True)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub_server() as server:
        yield server
    close_session()


def opened(hub: HubServer, root: str = ROOT, token: str | None = TOKEN, patience: RetryPolicy = FAST) -> HubBackend:
    return HubBackend(root, lambda: Access(endpoint=hub.url, secret=token), patience)


def started(hub: HubServer, code: str, **how: str) -> subprocess.Popen[str]:
    """Starts a process in which `store` is the store at ROOT, with access as huggingface_hub finds it."""
    opening = f"from sailplane.storage.hub import HubBackend\nstore = HubBackend({ROOT!r})\n"
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, **OFF, **how}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", opening + code], env=env, text=True, stdout=pipe, stderr=pipe)


def ran(hub: HubServer, code: str, **how: str) -> str:
    """Returns the output of the process."""
    with started(hub, code, **how) as process:
        printed, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return printed
