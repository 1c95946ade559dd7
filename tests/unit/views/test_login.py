from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from sailplane.views import login


def asked(method: str, path: str, **how: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(login.make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **how)

    return asyncio.run(ask())


def posted(body: bytes) -> httpx.Response:
    return asked("POST", "/token", content=body, headers={"Content-Type": "application/json"})


def test_the_policy_of_the_page_allows_its_script() -> None:
    page = asked("GET", "/")
    script = re.search(r"<script>(.*)</script>", page.text, re.DOTALL)
    assert script
    assert script[1].count("logIn") == 3
    digest = b64encode(sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.headers["Content-Security-Policy"]


def test_the_reason_of_a_refusal_is_shown_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path))
    page = asked("POST", "/", data={"secret": "x"})
    assert page.status_code == 401
    assert "`sailplane login` prints another link" in page.text


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"NaN", b'{"secret": NaN}', b'{"secret": "\\ud800"}', b'{"secret": "%s"}' % (b"x" * 101)]
)
def test_a_malformed_secret_is_refused_without_being_repeated(body: bytes) -> None:
    answer = posted(body)
    assert (answer.status_code, answer.json()) == (422, {"detail": "expected one secret of at most 100 characters"})


def test_an_unknown_secret_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path))
    answer = posted(b'{"secret": "x"}')
    assert answer.status_code == 401
    assert "`sailplane login` prints another link" in answer.json()["detail"]
