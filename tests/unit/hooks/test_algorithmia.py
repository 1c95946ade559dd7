from __future__ import annotations

import logging

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.hooks.algorithmia import AlgorithmiaHook
from tests.ports import free_port
from tests.unit.algorithmia.data_api_server import KEY, DataApiServer
from tests.unit.hooks.conftest import Connect


def test_the_connection_of_that_name_is_asked(connect: Connect, server: DataApiServer) -> None:
    connect("mine", conn_type="algorithmia", host=server.url, password=KEY)
    (server.folder / "ada/c/x").write_bytes(b"content")
    assert AlgorithmiaHook("mine").get_conn().files.get("ada/c/x") == b"content"
    with pytest.raises(AirflowNotFoundException):
        AlgorithmiaHook().get_conn()
    connect("algorithmia_default", conn_type="algorithmia", host=server.url, password=KEY)
    assert AlgorithmiaHook().get_conn().files.get("ada/c/x") == b"content"


def test_the_connection_is_tested_by_a_request(connect: Connect, server: DataApiServer) -> None:
    connect("right", conn_type="algorithmia", host=server.url, password=KEY)
    assert AlgorithmiaHook("right").test_connection() == (True, "The key is accepted.")
    assert server.asked


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "wrong-but-secret"}, "401 Unauthorized"),
        ({"password": "wrong\n but-secret"}, "characters that a key cannot have"),
        ({"password": None}, "no API key"),
        ({"host": None}, "no endpoint"),
    ],
)
def test_what_is_wrong_with_a_connection_is_said_without_the_key(
    connect: Connect, server: DataApiServer, changes: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    connect("wrong", **{"conn_type": "algorithmia", "host": server.url, "password": KEY, **changes})
    with caplog.at_level(logging.DEBUG):
        good, said = AlgorithmiaHook("wrong").test_connection()
    assert not good
    assert reason in said
    assert "but-secret" not in said + caplog.text
    assert KEY not in said + caplog.text


def test_a_request_leaves_no_line_in_a_log(
    connect: Connect, server: DataApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    connect("mine", conn_type="algorithmia", host=server.url, password=KEY)
    with caplog.at_level(logging.INFO):
        assert AlgorithmiaHook("mine").test_connection()[0]
    assert "HTTP Request" not in caplog.text
    assert KEY not in repr(AlgorithmiaHook("mine").get_conn())


def test_a_level_that_somebody_set_stays(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    connect("mine", conn_type="algorithmia", host=f"http://127.0.0.1:{free_port()}", password=KEY)
    AlgorithmiaHook("mine").get_conn()
    assert logging.getLogger("httpx").level == logging.DEBUG
