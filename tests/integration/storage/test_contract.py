"""The contract on each backend whose store can run here."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.integration.storage.contract import Contract
from tests.integration.storage.place import Place
from tests.integration.storage.twin import TwinServer
from tests.s3 import S3Server


class TestLocal(Contract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place((tmp_path / "a störe").as_uri(), {})


class TestS3(Contract):
    @pytest.fixture
    def place(self, s3: S3Server) -> Place:
        env = {
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_DEFAULT_REGION": s3.access.region,
            "AWS_ACCESS_KEY_ID": s3.access.key,
            "AWS_SECRET_ACCESS_KEY": s3.access.secret,
        }
        return Place(f"s3://{s3.bucket}/a störe/{uuid.uuid4()}", env, signs=True)


class TestDataApi(Contract):
    @pytest.fixture
    def place(self, twin: TwinServer) -> Place:
        env = {"ALGORITHMIA_API": twin.url, "ALGORITHMIA_API_KEY": twin.key}
        # The twin's own key of a file, or of a parent directory, is longer than the name that its user knows.
        return Place(f"data://.my/{uuid.uuid4()}/a störe", env, longest=900)
