"""`sailplane sweep share | unshare`: workers from anywhere."""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from sailplane import code, pairing
from sailplane.home import Home
from sailplane.registry.pins import unpacked
from sailplane.sweep_server import tokens
from sailplane.sweep_server.stored import Stored
from sailplane.sweeps import results
from sailplane.sweeps.names import only
from sailplane.training.specs import SweepWorkerSpec

_TOLD = """\
{sweep} is shared, {data}. This is its only token; it is not shown again:

    export SAILPLANE_SWEEP_TOKEN={token}

On this machine, or where its port {port} is forwarded to, with Python 3.11 or later:

    curl -H "Authorization: Bearer $SAILPLANE_SWEEP_TOKEN" {url}/worker.pyz -o worker.pyz
    python worker.pyz {url} --train model.py:train

From elsewhere, a tunnel to port {port} will do: put its address in place of http://localhost:{port}. It opens this
sweep to who has the token, and nothing else of Airflow. `sailplane sweep unshare {sweep}` ends it.
"""


def share(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    sweep = only(ledger, arguments.sweep)
    job = results.job(ledger, sweep)
    if job:
        _share_data(home, SweepWorkerSpec.from_dict(job))
    name, token = tokens.share(ledger, sweep)
    data = "with the data of its train step" if job else "without data: no DAG has made it"
    url = f"http://localhost:{home.ui_port}/sailplane/sweeps/{name}"
    sys.stdout.write(_TOLD.format(sweep=sweep, data=data, token=token, url=url, port=home.ui_port))
    return 0


def unshare(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    sweep = only(ledger, arguments.sweep, among=partial(tokens.is_shared, ledger))
    was = tokens.unshare(ledger, sweep)
    told = "is no longer shared; trials of workers elsewhere are given again" if was else "was not shared"
    sys.stdout.write(f"{sweep} {told}.\n")
    return 0


def _share_data(home: Home, job: SweepWorkerSpec) -> None:
    """Prepared here once, as in the DAG: a worker elsewhere needs neither the store nor the features' code."""
    from sailplane.training.arrays import pack
    from sailplane.training.data import prepare

    storage = pairing.store(home)
    if job.code:
        code.use(unpacked(home, storage, job.code))
    features: Any = code.load(job.features)
    data = prepare(storage, job.dataset, features)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.npz")
        pack(data, file)
        Stored(job.sweep).keep_data(file)
