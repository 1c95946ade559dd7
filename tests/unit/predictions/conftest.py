from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.records import Dataset, Run
from sailplane.storage import Storage
from tests.unit.predictions import parcels


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "store").as_uri())


@pytest.fixture
def dataset(storage: Storage) -> Dataset:
    return parcels.ingested(storage)


@pytest.fixture
def run(storage: Storage, tmp_path: Path) -> Run:
    return parcels.trained(storage, tmp_path / "scratch")
