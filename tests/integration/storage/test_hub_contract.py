"""The contract on repositories of the Hugging Face Hub.

The test of a complete listing takes 20 seconds, because the client uploads more than a thousand files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sailplane.storage.access import SETTING, Access, write
from tests.hub_server import TOKEN
from tests.integration.storage.contract import Contract
from tests.integration.storage.hub_places import OFF, WARNED, served
from tests.integration.storage.place import Place

pytestmark = pytest.mark.filterwarnings(WARNED)


class TestHub(Contract):
    @pytest.fixture(params=["hf://datasets/someone/things/a störe", "hf://models/someone/net"])
    def place(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
        with served(monkeypatch) as server:
            write(tmp_path / "access", {request.param: Access(endpoint=server.url, secret=TOKEN)})
            # A killed process leaves the file to which it spooled.
            yield Place(request.param, {SETTING: str(tmp_path / "access"), "TMPDIR": str(tmp_path), **OFF})
