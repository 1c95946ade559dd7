"""The twin as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sailplane.algorithmia.twin.calls import Calls
from sailplane.algorithmia.twin.data_api import DataApiRoutes
from sailplane.algorithmia.twin.guard import ALL_METHODS, TwinGuard, as_api_errors, is_loopback
from sailplane.algorithmia.twin.insights import Insights
from sailplane.algorithmia.twin.management import AccountApi, AlgorithmApi
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.algorithmia.twin.twin import Twin


class WholePath(PathConvertor):
    """Also matches line breaks, unlike Starlette's own, so that they are refused with a proper error."""

    regex = r"[\s\S]*"


register_url_convertor("whole", WholePath())


def application(twin: Twin) -> Starlette:
    guard, data, calls, insights = (
        TwinGuard(twin),
        DataApiRoutes(twin),
        Calls(twin),
        as_api_errors(Insights(twin).__call__),
    )
    every = dict.fromkeys(ALL_METHODS, data)
    app = Starlette(
        routes=[
            Route("/health", _healthy),
            guard.route("/v1/data/{path:whole}", **every),
            guard.route("/v1/connector/{path:whole}", **every),
            guard.route("/v1/algo/{owner}/{name}", POST=calls),
            guard.route("/v1/algo/{owner}/{name}/{version}", POST=calls),
            Route("/v1/insights", insights, methods=["POST"]),
            Route("/algorithms/{owner}/{name}/v1/insights", insights, methods=["POST"]),
            *AlgorithmApi(twin).routes(guard),
            *AccountApi(twin).routes(guard),
            guard.route("/{path:whole}", **dict.fromkeys(ALL_METHODS, _unknown)),
        ],
        lifespan=_lifespan(twin),
    )
    # A trailing slash is part of a path here.
    app.router.redirect_slashes = False
    return app


def serve(twin: Twin, host: str, port: int) -> None:
    """Runs until it is stopped."""
    if not is_loopback(host):
        logging.getLogger(__name__).warning("Listening on %s: keys and data are sent unencrypted.", host)
    uvicorn.run(
        application(twin),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=8,
    )


def _lifespan(twin: Twin) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        for threads in (twin.threads, twin.uploads):
            threads.shutdown(wait=False, cancel_futures=True)

    return lifespan


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _unknown(request: Request, _caller: str) -> Response:
    expected = "/v1/data, /v1/connector/data, /v1/algo, /v1/algorithms, /v1/organizations, /v1/users or /v1/insights"
    raise Refusal(404, f"No such path: {request.url.path}; expected one under {expected}.")
