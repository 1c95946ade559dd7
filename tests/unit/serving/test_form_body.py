"""Messages as forms, as Seldon's own server takes them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from sailplane.registry.bundle import Bundle
from sailplane.serving.in_flight import LONG_BODY
from tests.unit.registry import tiny
from tests.unit.serving.asked import ask

MESSAGE = {"jsonData": tiny.RECORD, "meta": {"puid": "from a form"}}
TEXT = json.dumps(MESSAGE)


def form(**how: Any) -> tuple[bytes, dict[str, str]]:
    request = httpx.Request("POST", "http://server", **how)
    return request.read(), {"content-type": request.headers["content-type"]}


FORMS: dict[str, tuple[bytes, dict[str, str]]] = {
    "curl -F json=": form(files={"json": (None, TEXT)}),
    "curl -F json=@file": form(files={"json": ("message.json", TEXT)}),
    "a field for each part": form(files={name: (None, json.dumps(part)) for name, part in MESSAGE.items()}),
    "curl -d json=": form(data={"json": TEXT}),
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
]


@pytest.mark.parametrize(("body", "headers"), BAD)
def test_a_form_that_is_no_message_is_a_400_that_says_so(bundle: Bundle, body: bytes, headers: dict[str, str]) -> None:
    response = ask(bundle, "POST", "/predict", body=body, headers=headers)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]
