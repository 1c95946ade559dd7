"""Trials that are trained on another machine appear at W&B if that machine has the client and a key."""

from __future__ import annotations

from sailplane.sweeps import results
from sailplane.tracking import sweeps
from tests.integration.sweep_server.conftest import TEXT, Address, Elsewhere
from tests.integration.sweep_server.test_remote_worker import LEARNS
from tests.wandb_server import KEY, wandb_server


def test_they_are_under_the_sweep(address: Address, elsewhere: Elsewhere) -> None:
    with wandb_server() as server:
        url, token = address.share(TEXT.replace("run_cap: 6", "run_cap: 2"))
        key = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
        document = {"method": "random", "metric": {"name": "loss"}, "parameters": {"rate": {"min": 0.0, "max": 1.0}}}
        sweeps.create(
            address.ledger, "toy/s", project="toy", document=document, settings={**key, "WANDB_MODE": "online"}
        )
        (elsewhere.folder / "model.py").write_text(LEARNS)
        with elsewhere.python(token, "worker.pyz", url, "--train", "model.py:train", **key) as process:
            said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        trials = results.trials(address.ledger, "toy/s")
        runs = sorted(server.runs.values(), key=lambda run: str(run.name))
        assert [run.name for run in runs] == ["toy/s/trial-0", "toy/s/trial-1"]
        assert [run.history[-1]["loss"] for run in runs] == [trial.score for trial in trials]
        assert {run.sweep for run in runs} == {sweeps.find(address.ledger, "toy/s")} != {None}
        assert {run.state for run in runs} == {"finished"}
        assert KEY not in said
