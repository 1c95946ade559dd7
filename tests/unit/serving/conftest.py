from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.bundles.bundle import Bundle
from tests.unit.bundles import tiny


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny.bundle(tmp_path_factory.mktemp("serving") / "bundle")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("serving") / "bundle"
    return tiny.bundle(folder, model="digits", outputs=("zero", "one", "two"))
