from __future__ import annotations

import logging
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.errors import ConfigurationError
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.storage import Access, access
from tests.unit.algorithmia.data_api_server import KEY, DataApiServer
from tests.unit.hooks.conftest import Connect
from tests.unit.hooks.sts import sts_server

AWS = {"conn_type": "aws", "login": "AKIALAKE", "password": "lake-secret"}


def asked(uri: str, conn_id: str | None = None) -> Access:
    ask = SailplaneStorageHook(uri, storage_conn_id=conn_id).access()
    assert ask
    return ask()


def test_a_folder_needs_no_connection(connect: Connect, tmp_path: Path) -> None:
    hook = SailplaneStorageHook(tmp_path.as_uri())
    hook.get_conn().put("x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"
    assert hook.test_connection() == (True, f"{tmp_path.as_uri()} can be listed")


def test_without_a_uri_it_is_the_projects_store(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAILPLANE_STORE", "s3://lake@bucket/models")
    connect("lake", **AWS)
    hook = SailplaneStorageHook()
    assert (hook.root.uri, hook.storage_conn_id) == ("s3://bucket/models", "lake")
    assert hook.reading().root == "s3://bucket/models"


@pytest.mark.slow
def test_the_extras_of_an_aws_connection_are_honoured(connect: Connect) -> None:
    connect("lake", **AWS, extra={"endpoint_url": "http://localhost:9", "region_name": "eu-central-1"})
    found = asked("s3://lake@bucket")
    assert found == Access(endpoint="http://localhost:9", region="eu-central-1", key="AKIALAKE", secret="lake-secret")
    connect("lake", **AWS, extra={"service_config": {"s3": {"endpoint_url": "http://localhost:8"}}})
    assert asked("s3://bucket", "lake").endpoint == "http://localhost:8"
    connect("lake", **AWS, extra={"aws_session_token": "a-token"})
    assert asked("s3://bucket", "lake").token == "a-token"


def test_a_role_is_assumed_by_the_amazon_providers_own_session(connect: Connect) -> None:
    roles: list[str] = []
    role = "arn:aws:iam::123456789012:role/reader"
    with sts_server(roles) as url:
        services = {"sts": {"endpoint_url": url}, "s3": {"endpoint_url": "http://localhost:8"}}
        connect("lake", **AWS, extra={"role_arn": role, "region_name": "eu-west-1", "service_config": services})
        found = asked("s3://lake@bucket")
    assert roles == [role]
    assert (found.key, found.secret, found.token) == ("ASIAROLE", "role-secret", "role-token")
    assert found.region == "eu-west-1"
    assert found.expires


def test_a_region_that_nobody_set_is_one_that_a_signature_may_have(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect("lake", **AWS)
    assert asked("s3://lake@bucket").region == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert asked("s3://lake@bucket").region == "eu-north-1"


@pytest.mark.parametrize(
    ("uri", "default"),
    [
        ("s3://bucket", "aws_default"),
        ("data://ada/c", "algorithmia_default"),
        ("hf://models/ada/m", "huggingface_default"),
    ],
)
def test_each_scheme_has_a_default_connection(connect: Connect, uri: str, default: str) -> None:
    connect(default, **{**AWS, "conn_type": "aws" if default == "aws_default" else "generic"})
    assert asked(uri).secret == "lake-secret"


@pytest.mark.slow
def test_a_default_connection_may_be_missing_then_the_environment_counts(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    assert asked("s3://bucket").key == "AKIAENV"
    assert SailplaneStorageHook("data://ada/c").access() is None
    assert SailplaneStorageHook("hf://models/ada/m").access() is None
    assert "Unable to find" not in caplog.text


@pytest.mark.parametrize("uri", ["s3://nobody@bucket", "data://nobody@ada/c", "hf://nobody@models/ada/m"])
def test_a_named_connection_that_is_missing_is_an_error(connect: Connect, uri: str) -> None:
    connect("aws_default", **AWS)
    with pytest.raises(AirflowNotFoundException, match="nobody"):
        SailplaneStorageHook(uri).access()
    good, reason = SailplaneStorageHook(uri).test_connection()
    assert not good
    assert "nobody" in reason


def test_what_this_process_was_given_comes_before_a_default_connection(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access.write(tmp_path / "access.json", {"s3://bucket": Access(key="GIVEN", secret="given-secret")})
    monkeypatch.setenv(access.SETTING, str(tmp_path / "access.json"))
    connect("aws_default", **AWS)
    connect("lake", **AWS)
    assert asked("s3://bucket/below").key == "GIVEN"
    assert asked("s3://lake@bucket/below").key == "AKIALAKE"


def test_the_connection_is_tested_by_a_list(
    connect: Connect, server: DataApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    connect("mine", conn_type="algorithmia", host=server.url, password=KEY)
    connect("wrong", conn_type="algorithmia", host=server.url, password="wrong-but-secret")
    with caplog.at_level(logging.DEBUG):
        assert SailplaneStorageHook("data://mine@ada/c").test_connection() == (True, "data://ada/c can be listed")
        good, reason = SailplaneStorageHook("data://wrong@ada/c").test_connection()
    assert not good
    assert "401 Unauthorized" in reason
    for text in (reason, caplog.text, repr(SailplaneStorageHook("data://mine@ada/c").get_conn())):
        assert "but-secret" not in text
        assert KEY not in text
        assert "HTTP Request" not in text


def test_no_access_shows_its_secret(connect: Connect) -> None:
    connect("lake", **AWS, extra={"aws_session_token": "a-token"})
    shown = repr(asked("s3://lake@bucket"))
    assert "AKIALAKE" in shown
    assert "lake-secret" not in shown
    assert "a-token" not in shown


@pytest.mark.parametrize(
    "uri", ["s3://AKIA:hidden@bucket", "s3://AKIA:hid/den@bucket/x", "S3://AKIA:hidden@bucket", "s3:AKIA:hidden@b"]
)
def test_a_secret_in_a_uri_is_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        SailplaneStorageHook(uri)
    assert "hid" not in str(raised.value)
    assert "den@" not in str(raised.value)
