"""`sailplane sweep share | unshare`: lets workers elsewhere join a sweep."""

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

_INSTRUCTIONS = """\
{sweep} is shared, {data}. This is its only token. It will not be shown again:

    export SAILPLANE_SWEEP_TOKEN={token}

Run this on this machine, or on one to which its port {port} is forwarded, with Python 3.11 or later:

    curl -H "Authorization: Bearer $SAILPLANE_SWEEP_TOKEN" {url}/worker.pyz -o worker.pyz
    python worker.pyz {url} --train model.py:train

From elsewhere, open a tunnel to port {port} and replace http://localhost:{port} with its address. The token gives
access only to this sweep, not to the rest of Airflow. `sailplane sweep unshare {sweep}` revokes it.
"""


def share(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    sweep = only(ledger, arguments.sweep)
    job = results.job(ledger, sweep)
    if job:
        _share_data(home, SweepWorkerSpec.from_dict(job))
    name, token = tokens.share(ledger, sweep)
    data = "with the data of its train step" if job else "without data: no DAG created it"
    url = f"http://localhost:{home.ui_port}/sailplane/sweeps/{name}"
    sys.stdout.write(_INSTRUCTIONS.format(sweep=sweep, data=data, token=token, url=url, port=home.ui_port))
    return 0


def unshare(home: Home, arguments: argparse.Namespace) -> int:
    ledger = pairing.ledger(home)
    sweep = only(ledger, arguments.sweep, among=partial(tokens.is_shared, ledger))
    was = tokens.unshare(ledger, sweep)
    outcome = "is no longer shared; trials of workers elsewhere will be rerun" if was else "was not shared"
    sys.stdout.write(f"{sweep} {outcome}.\n")
    return 0


def _share_data(home: Home, job: SweepWorkerSpec) -> None:
    """Prepares the data once, as the DAG does, so that a worker elsewhere needs neither the store nor the feature
    code."""
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
