from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sailplane.origins import Origins


class UiGuard:
    """Refuses requests that name a foreign host (400), and requests by pages of another origin (403). Paths that begin
    with `any_host_below` accept any host."""

    def __init__(self, app: ASGIApp, origins: Origins, any_host_below: str) -> None:
        self.app = app
        self._origins = origins
        self._any_host_below = any_host_below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif refusal := self._refusal(scope):
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, _unframed(send))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if not self._any_host(scope) and (reason := self._origins.foreign_host(scope["headers"])):
            return _refused(scope, 400, reason)
        # A WebSocket has no method: its messages may change something.
        reason = self._origins.foreign_page(scope.get("method", ""), scope["headers"])
        return _refused(scope, 403, reason) if reason else None

    def _any_host(self, scope: Scope) -> bool:
        below = scope["path"].startswith(self._any_host_below) and ".." not in scope["path"].split("/")
        return below and bool(dict(scope["headers"]).get(b"host"))


def _refused(scope: Scope, status: int, reason: str) -> ASGIApp:
    return _closed if scope["type"] == "websocket" else JSONResponse({"detail": reason}, status)


async def _closed(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1008})


def _unframed(send: Send) -> Send:
    """Forbids other origins to frame the page, also in browsers that send no Sec-Fetch headers."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", []), (b"x-frame-options", b"SAMEORIGIN")]
            message = {**message, "headers": headers}
        await send(message)

    return sent
