from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send


class TrustedHosts(TrustedHostMiddleware):
    """Refuses requests by other host names, except for paths that begin with `open_below`, which have a guard of their
    own."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str], open_below: str) -> None:
        super().__init__(app, allowed_hosts)
        self._open_below = open_below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self._open_below):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
