"""Calls a model server without a socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx

from sailplane.bundles.bundle import Bundle
from sailplane.serving.app import ModelServer
from sailplane.serving.scorer import Scorer
from tests.unit.bundles import tiny

SERVERS: dict[tuple[Path, str | None], ModelServer] = {}
NAMES = [field.name for field in tiny.INPUTS]
ROW = [tiny.RECORD[name] for name in NAMES]


def ask(
    bundle: Bundle,
    method: str,
    path: str,
    message: object = None,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> httpx.Response:
    content = body if body is not None else None if message is None else json.dumps(message).encode()
    return called(server_of(bundle, token), method, path, content, headers)


def server_of(bundle: Bundle, token: str | None) -> ModelServer:
    """Returns the server, made once because it measures its model."""
    key = bundle.folder, token
    if key not in SERVERS:
        SERVERS[key] = ModelServer(Scorer(bundle), token)
    return SERVERS[key]


def called(
    server: ModelServer, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=server)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, path, content=content, headers=headers)

    response = asyncio.run(send())
    if response.headers["content-type"] == "application/json":
        response.json()
    assert response.headers["x-sailplane-version"]
    return response


def predict(bundle: Bundle, message: object) -> httpx.Response:
    return ask(bundle, "POST", "/api/v1.0/predictions", message)
