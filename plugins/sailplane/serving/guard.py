"""Refuses requests from foreign hosts and web pages at a model server without a token: a page in a browser on this
machine can reach its port. `guard.lua` does the same for the router, which then calls the server by a local name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from sailplane.origins import LOCAL, Origins
from sailplane.serving.seldon import messages as seldon

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# Envoy sends copies for a shadow to the second name.
_ORIGINS: Final = Origins((*LOCAL, "localhost-shadow"))
_LOCAL: Final = frozenset(name.encode() for name in LOCAL)
# Envoy and Kubernetes call these without a token, and with their own host names.
HEALTH: Final = frozenset(
    {"/health/ping", "/health/status", "/api/v1.0/health/status", "/v2/health/live", "/v2/health/ready"}
)
_OF_A_BROWSER: Final = frozenset({b"origin", b"sec-fetch-site"})


class ServerGuard:
    """Wraps the server as ASGI middleware. Health checks always pass."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_from_program(scope["headers"]) or not (reason := _refusal(scope)):
            await self.app(scope, receive, send)
            return
        body = orjson.dumps(seldon.failure(403, reason))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 403, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})


def _is_from_program(headers: list[tuple[bytes, bytes]]) -> bool:
    """A fast check that passes nearly all requests: those of the router and of local programs."""
    hosts = [value for name, value in headers if name == b"host"]
    return len(hosts) == 1 and hosts[0].partition(b":")[0] in _LOCAL and not any(n in _OF_A_BROWSER for n, _ in headers)


def _refusal(scope: Scope) -> str | None:
    headers = scope["headers"]
    if scope["path"] in HEALTH:
        return None
    return _ORIGINS.foreign_host(headers) or _ORIGINS.foreign_page(scope["method"], headers)
