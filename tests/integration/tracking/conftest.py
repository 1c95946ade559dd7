from __future__ import annotations

from collections.abc import Iterator

import pytest
import wandb

# A small project, and specifications of trainings in it.
from tests.integration.training.conftest import dataset, home, spec  # noqa: F401
from tests.wandb_server import KEY, WandbServer, wandb_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """W&B's server, and an environment with its address and the right key."""
    with wandb_server() as server:
        wandb.teardown()  # The client reads its environment only once.
        for name in ("WANDB_MODE", "WANDB_ERROR_REPORTING"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        # By default the client sends rows every 15 seconds; it ignores fractions of a second.
        monkeypatch.setenv("WANDB__FILE_STREAM_TRANSMIT_INTERVAL", "1")
        yield server
        wandb.teardown()
