from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite(
    *(f"tests.integration.storage.{name}" for name in ("moves", "names", "races", "verbs", "wholeness"))
)

from tests.integration.storage.twin import TwinServer, twin_server  # noqa: E402
from tests.s3 import S3Server, s3_server  # noqa: E402  after that registration


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinServer]:
    with twin_server(tmp_path_factory.mktemp("twin")) as server:
        yield server
