"""`python -m sailplane.serving.server --bundle DIR --port N`: one process, one version, on loopback."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
import uvloop

from sailplane.bundles.bundle import Bundle
from sailplane.errors import SailplaneError
from sailplane.serving.app import ModelServer
from sailplane.serving.connection import Connection
from sailplane.serving.guard import ServerGuard
from sailplane.serving.in_flight import return_early
from sailplane.serving.request_log import RequestLog
from sailplane.serving.scorer import RequestLimits, Scorer
from sailplane.serving.violations import CHOICES, DEFAULT, Policy

if TYPE_CHECKING:
    import grpc

LOOPBACK: Final = "127.0.0.1"
_DRAIN_SECONDS: Final = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks the scores of the golden rows before it opens a port."""
    options = _options(arguments)
    return_early()
    # The form parser's warnings are not needed: the sender of a broken form gets an error.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        bundle = Bundle.open(options.bundle)
        bundle.check()
        token = options.token_file.read_text().strip() if options.token_file else None
    except (SailplaneError, OSError) as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    # These objects live as long as the process. Without this, the garbage collector scans them again and again, which
    # takes milliseconds.
    gc.collect()
    gc.freeze()
    limits = RequestLimits(body=options.body_limit, in_flight=options.in_flight_limit, seconds=options.deadline)
    scorer = Scorer(bundle, limits, options.request_log, Policy(options.on_violation, options.on_violation_file))
    uvloop.run(_serve(scorer, options, token))
    return 0


async def _serve(scorer: Scorer, options: argparse.Namespace, token: str | None) -> None:
    config = uvicorn.Config(
        ServerGuard(ModelServer(scorer)) if token is None else ModelServer(scorer, token),
        host=options.host,
        port=options.port,
        http=Connection,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        server_header=False,
        # Longer than the router keeps an idle connection, so that it never uses one that is closing.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    await _Server(config, await _rpc(scorer, options, token), scorer.log).serve()


async def _rpc(scorer: Scorer, options: argparse.Namespace, token: str | None) -> grpc.aio.Server | None:
    if options.grpc_port is None:
        return None
    # Imported only if used: it takes 15 MB.
    from sailplane.serving.grpc_server import server
    from sailplane.serving.open_inference import grpc as open_inference_grpc
    from sailplane.serving.seldon import grpc as seldon_grpc

    seldon = seldon_grpc.SeldonMethods(scorer).table()
    services = {open_inference_grpc.SERVICE: open_inference_grpc.OpenInferenceMethods(scorer).table()}
    rpc = server(scorer, services | dict.fromkeys(seldon_grpc.SERVICES, seldon), token)
    rpc.add_insecure_port(f"{options.host}:{options.grpc_port}")
    await rpc.start()
    return rpc


class _Server(uvicorn.Server):
    """Drains gRPC together with HTTP and writes the rest of the log. On a signal, uvicorn alone would exit as soon as
    its own connections are closed."""

    def __init__(self, config: uvicorn.Config, rpc: grpc.aio.Server | None, log: RequestLog | None) -> None:
        super().__init__(config)
        self._rpc, self._log = rpc, log

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        rpc = [self._rpc.stop(_DRAIN_SECONDS)] if self._rpc else []
        await asyncio.gather(super().shutdown(sockets), *rpc)
        if self._log:
            self._log.close()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.body_limit > options.in_flight_limit:
        parser.error(
            f"read --body-limit: {options.body_limit}; expected at most --in-flight-limit, {options.in_flight_limit}. "
            "The server could never read a larger body."
        )
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sailplane.serving.server", description=__doc__)
    limits = RequestLimits()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--host", default=LOOPBACK, help="the address to listen on")
    parser.add_argument(
        "--grpc-port",
        type=int,
        help="also serve the Open Inference Protocol and Seldon's protocol over gRPC on this port",
    )
    parser.add_argument("--token-file", type=Path, help="a file with the bearer token that every request must send")
    parser.add_argument("--deadline", type=float, default=limits.seconds, help="seconds until a request fails")
    parser.add_argument("--body-limit", type=int, default=limits.body, help="the most bytes of a request")
    parser.add_argument(
        "--in-flight-limit",
        type=int,
        default=limits.in_flight,
        help="the most bytes of all requests and replies in progress",
    )
    parser.add_argument("--request-log", type=Path, metavar="FOLDER", help="log requests and answers there")
    parser.add_argument(
        "--on-violation", choices=CHOICES, default=DEFAULT, help="how to handle values that fail a check of the schema"
    )
    parser.add_argument("--on-violation-file", type=Path, help="a file that overrides --on-violation while it exists")
    # Last in the usage, where callers look for it.
    parser.add_argument("--port", type=int, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
