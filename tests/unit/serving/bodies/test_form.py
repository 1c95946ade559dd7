"""Messages as forms, which Seldon's own server also takes."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import nullcontext
from typing import Any
from urllib.parse import unquote_to_bytes

import httpx
import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.errors import RequestError
from sailplane.serving.bodies.form import message_of_form
from sailplane.serving.in_flight import LONG_BODY
from tests.executed import lines
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import ask

MESSAGE = {"jsonData": tiny.RECORD, "meta": {"puid": "from a form"}}
TEXT = json.dumps(MESSAGE)


def form(**how: Any) -> tuple[bytes, dict[str, str]]:
    request = httpx.Request("POST", "http://server", **how)
    return request.read(), {"content-type": request.headers["content-type"]}


def urlencoded(text: str) -> bytes:
    """Returns the text with every byte escaped."""
    return b"json=" + "".join(f"%{byte:02x}" for byte in text.encode()).encode()


FORMS: dict[str, tuple[bytes, dict[str, str]]] = {
    "curl -F json=": form(files={"json": (None, TEXT)}),
    "curl -F json=@file": form(files={"json": ("message.json", TEXT)}),
    "a field for each part": form(files={name: (None, json.dumps(part)) for name, part in MESSAGE.items()}),
    "curl -d json=": form(data={"json": TEXT}),
    "curl --data-urlencode": form(data={"json": TEXT.ljust(LONG_BODY)}),
    "what a browser sends": (urlencoded(TEXT) + b"&", {"content-type": "application/x-www-form-urlencoded"}),
    "a long one": form(files={"json": (None, TEXT.ljust(2 * LONG_BODY))}),
}


@pytest.mark.parametrize("how", FORMS)
def test_a_form_gets_the_answer_of_its_message(bundle: Bundle, how: str) -> None:
    body, headers = FORMS[how]
    usual = ask(bundle, "POST", "/predict", MESSAGE).json()
    response = ask(bundle, "POST", "/api/v1.0/predictions", body=body, headers=headers)
    assert (response.status_code, response.json()) == (200, usual)


def test_feedback_comes_as_a_form_too(bundle: Bundle) -> None:
    body, headers = form(files={"json": (None, json.dumps({"response": {"meta": {"puid": "7"}}, "reward": 1}))})
    response = ask(bundle, "POST", "/api/v1.0/feedback", body=body, headers=headers)
    assert (response.status_code, response.json()["meta"]["puid"]) == (200, "7")


MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
BAD = [
    (b"distance=1", {"content-type": "multipart/form-data"}),
    (b"distance=1", MULTIPART),
    (b"", MULTIPART),
    (b'--x\r\nContent-Disposition: form-data; name="json"\r\n\r\n{', MULTIPART),
    form(files={"json": (None, "{")}),
    form(files={"jsonData": (None, "{")}),
    form(files={"picture": (None, "{}")}),
    form(data={"json": "{"}),
    form(data={"json": [TEXT, TEXT]}),
    form(files=[("json", (None, TEXT)), ("json", (None, TEXT))]),
    form(files={"jsonData": (None, '{},"meta":{}')}),
    (f"json={TEXT}&json=".encode(), {"content-type": "application/x-www-form-urlencoded"}),
    (f"json={TEXT}&".encode() + bytes(range(128, 256)) * 9, {"content-type": "application/x-www-form-urlencoded"}),
]


@pytest.mark.parametrize(("body", "headers"), BAD)
def test_a_form_that_is_no_message_is_a_400_that_says_so(bundle: Bundle, body: bytes, headers: dict[str, str]) -> None:
    response = ask(bundle, "POST", "/predict", body=body, headers=headers)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]


@pytest.mark.parametrize("size", [0, 1, 2**14 - 2, 2**14 - 1, 2**14, 2**14 + 1])
def test_escapes_are_whole_wherever_a_piece_ends(size: int) -> None:
    text = b"a" * size + b'"%22%C3%BC+%2B%' * 20_000 + b"%%4"
    headers = {b"content-type": b"application/x-www-form-urlencoded"}
    assert message_of_form(headers, bytearray(b"json=" + text)) == unquote_to_bytes(text.replace(b"+", b" "))


TINY = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n\r\n'
COSTLY = {
    "many fields": (b"json=&" + b"a&" * 500_000, "urlencoded", "field 'a'"),
    "escapes": (b"json=" + b"%22" * 500_000, "urlencoded", ""),
    "known parts": (TINY % b"json" * 10_000, "multipart", "field 'json' twice"),
    "unknown parts": (TINY % b"a" * 10_000, "multipart", "field 'a'"),
    "a part of lists": (b"%s[%s]\r\n--x--" % ((TINY % b"data")[:-2], b",".join([b"[]"] * 500_000)), "multipart", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", COSTLY)
def test_a_form_takes_few_times_its_bytes_and_few_lines(how: str) -> None:
    body, kind, said = COSTLY[how]
    content_type = b"application/x-www-form-urlencoded" if kind == "urlencoded" else MULTIPART["content-type"].encode()

    def read_form() -> None:
        with nullcontext() if not said else pytest.raises(RequestError, match=said):
            message_of_form({b"content-type": content_type}, bytearray(body))

    assert lines(read_form) < 5 * len(body)
    tracemalloc.start()
    try:
        read_form()
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body) + 4 * 2**20
    finally:
        tracemalloc.stop()
