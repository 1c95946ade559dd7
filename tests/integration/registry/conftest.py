from __future__ import annotations

# The fixtures of both databases, and of a small project to train in.
from tests.integration.sweeps.conftest import ledger, server, url  # noqa: F401
from tests.integration.training.conftest import dataset, home, spec  # noqa: F401
