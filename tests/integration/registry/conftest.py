from __future__ import annotations

# Both databases, and a small project to train in.
from tests.integration.sweeps.conftest import ledger, server, url  # noqa: F401
from tests.integration.training.conftest import dataset, home, spec  # noqa: F401
