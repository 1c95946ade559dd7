from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from sailplane.views import login


def posted(body: bytes) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(login.make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/token", content=body, headers={"Content-Type": "application/json"})

    return asyncio.run(ask())


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
