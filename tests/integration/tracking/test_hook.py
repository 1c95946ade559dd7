"""A connection of type wandb, against a server that speaks W&B's protocol."""

from __future__ import annotations

import json
import logging
import time

import pytest
import wandb
from airflow.sdk.exceptions import AirflowNotFoundException

from sailplane.errors import ConfigurationError
from sailplane.home import Home
from sailplane.hooks.wandb import WandbHook, tracking_settings
from sailplane.training.jobs import Job
from tests.ports import free_port
from tests.wandb_server import KEY, WandbServer

WRONG = "f" * 40


@pytest.fixture
def connect(server: WandbServer, monkeypatch: pytest.MonkeyPatch):
    """Takes the key from the connection `wandb_default` instead of the environment."""
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name)

    def make(**changes):
        what = {"conn_type": "wandb", "host": server.url, "password": KEY, **changes}
        monkeypatch.setenv("AIRFLOW_CONN_WANDB_DEFAULT", json.dumps(what))

    make()
    return make


def test_the_key_is_tried_at_the_server(connect):
    assert WandbHook().test_connection() == (True, "The key is ada's.")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": WRONG}, "a key that its server accepts"),
        ({"password": ""}, "no password; expected an API key"),
        ({"host": "wandb.example.com"}, "host 'wandb.example.com'; expected http://"),
        ({"host": f"http://127.0.0.1:{free_port()}"}, "Correct its API key or its host."),
    ],
    ids=["wrong key", "no key", "no address", "away"],
)
def test_what_is_wrong_is_said_without_the_key(connect, changes, reason, caplog, monkeypatch):
    monkeypatch.setattr("sailplane.hooks.wandb.TIMEOUT_SECONDS", 2)
    connect(**changes)
    with caplog.at_level(logging.DEBUG):
        good, said = WandbHook().test_connection()
    assert not good
    assert reason in said
    assert "\n" not in said
    assert not any(key in said + caplog.text for key in (KEY, WRONG))


def test_without_a_connection_there_is_nothing_to_track_with(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("AIRFLOW_CONN_WANDB_DEFAULT", raising=False)
    assert tracking_settings() == {}
    with pytest.raises(AirflowNotFoundException):
        WandbHook().get_conn()


def test_the_environments_key_goes_before_the_connections(connect, monkeypatch):
    assert tracking_settings()["WANDB_API_KEY"] == KEY
    monkeypatch.setenv("WANDB_API_KEY", WRONG)
    assert tracking_settings() == {}


def test_a_connection_that_is_wrong_is_no_reason_to_train_untracked(connect):
    connect(password="")
    with pytest.raises(ConfigurationError, match="wandb_default"):
        tracking_settings()


def test_a_training_is_tracked_with_the_connections_key_which_no_file_holds(connect, server, home: Home, spec):
    wandb.teardown()
    job = Job(home.jobs / "job")
    job.start(spec(run="toy/tracked"), None, tracking_settings())
    deadline = time.monotonic() + 120
    while job.state() == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    job.result()
    (run,) = server.runs.values()
    assert (run.project, run.name, run.state) == ("toy", "toy/tracked", "finished")
    assert [row["train_loss"] for row in run.history if "train_loss" in row]
    written = [path for path in home.root.rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
