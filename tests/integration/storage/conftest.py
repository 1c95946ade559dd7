from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite(
    *(f"tests.integration.storage.{name}" for name in ("moves", "names", "races", "verbs", "wholeness"))
)

from sailplane.storage import Storage, failures  # noqa: E402
from sailplane.storage import s3 as s3_backend  # noqa: E402
from sailplane.storage.retries import RetryPolicy  # noqa: E402
from tests.integration.storage.faulty_s3 import FaultyS3, faulty  # noqa: E402
from tests.integration.storage.s3_uses import IMPATIENT, LARGE, opened  # noqa: E402
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


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty(s3.endpoint) as server:
        yield server


@pytest.fixture(scope="session")
def large(s3: S3Server) -> str:
    """Returns the key of an object that holds LARGE, from which each test's own is copied."""
    store = Storage(f"s3://{s3.bucket}/kept", lambda: s3.access)
    store.put("large", LARGE)
    return "kept/large"


@pytest.fixture
def store(s3: S3Server, proxy: FaultyS3, large: str) -> Storage:
    store = opened(s3, proxy)
    store.put("a", b"old")
    key = f"{store.root.removeprefix(f's3://{s3.bucket}/')}/large"
    s3.client.copy_object(Bucket=s3.bucket, Key=key, CopySource={"Bucket": s3.bucket, "Key": large})
    return store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_backend, "CLIENT", {**s3_backend.CLIENT, "read_timeout": "1s"})
    monkeypatch.setattr(s3_backend, "RETRIES", IMPATIENT)
    monkeypatch.setattr(failures, "PATIENCE", RetryPolicy(tries=4, first=0.02, seconds=10))
