"""`python -m sailplane.serving.server --bundle DIR --port N`: one process, one version, on loopback."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from sailplane.errors import SailplaneError
from sailplane.registry.bundle import Bundle
from sailplane.serving.app import ModelServer

LOOPBACK = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """The golden rows have to get their scores before the port is opened."""
    parser = argparse.ArgumentParser(prog="sailplane.serving.server", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        bundle = Bundle.open(options.bundle)
        bundle.check()
    except SailplaneError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    uvicorn.run(
        ModelServer(bundle),
        host=LOOPBACK,
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        # Longer than the router keeps an idle connection, so that it never sends into one that is being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=8,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
