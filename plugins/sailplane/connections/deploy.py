"""Runs `sailplane deploy` for a model on a cluster, in a process that reads Airflow's connections.

python -m sailplane.connections.deploy PERSON MODEL [--run RUN]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sailplane import pairing
from sailplane.connections.endpoint import where_it_serves
from sailplane.deployment.rollout.offered import deploy, tell
from sailplane.errors import SailplaneError
from sailplane.home import Home
from sailplane.hooks.storage import SailplaneStorageHook
from sailplane.storage.http_logging import hush


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sailplane deploy")
    parser.add_argument("person")
    parser.add_argument("model")
    parser.add_argument("--run")
    given = parser.parse_args(arguments)
    hush()
    try:
        endpoint = where_it_serves(pairing.ledger(Home.find()), given.model, "deploy the baseline of")
        tell(deploy(endpoint, SailplaneStorageHook().get_conn(), given.person, given.run))
    except SailplaneError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
