"""Wraps handlers: authenticates the caller, and turns errors into the API's format."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sailplane.algorithmia.twin.refusals import Refusal, refused
from sailplane.algorithmia.twin.twin import Twin

ALL_METHODS: Final = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
Handler = Callable[[Request, str], Awaitable[Response]]


class TwinGuard:
    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def route(self, path: str, **handlers: Handler) -> Route:
        """A handler by method; each is called with the request and the key's user."""

        async def answer(request: Request) -> Response:
            caller = await self._twin.caller(request)
            handler = handlers.get(request.method) or handlers.get("GET" if request.method == "HEAD" else "")
            if handler is None:
                message = f"{request.url.path} takes {', '.join(handlers)}, not {request.method}."
                raise Refusal(405, message)
            return await handler(request, caller)

        return Route(path, as_api_errors(answer), methods=ALL_METHODS)


def as_api_errors(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Converts exceptions to responses in the API's format."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except ClientDisconnect:
            # The client has disconnected.
            return Response(status_code=400)
        except Exception as error:
            return refused(error)

    return answered


def is_loopback(host: str) -> bool:
    """Whether an address or a name is loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
