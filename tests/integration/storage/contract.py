"""The contract of every storage backend, as tests. Each backend's class says where its store is:

class TestLocal(Contract):
    @pytest.fixture
    def place(self, tmp_path) -> Place: ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sailplane.storage.store import Storage
from tests.integration.storage.moves import Moves
from tests.integration.storage.names import Names
from tests.integration.storage.place import Place
from tests.integration.storage.races import Races
from tests.integration.storage.verbs import Verbs
from tests.integration.storage.wholeness import Wholeness


class Contract(Verbs, Names, Races, Wholeness, Moves):
    @pytest.fixture
    def store(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
        """Empty, at a root of its own."""
        for name in [name for name in os.environ if name.startswith(("AWS_", "ALGORITHMIA_"))]:
            monkeypatch.delenv(name)
        for name, value in place.env.items():
            monkeypatch.setenv(name, value)
        return place.open()
