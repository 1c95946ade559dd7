"""The unmodified client and its command line, against a server on loopback."""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wandb

from sailplane import tracking
from tests.platform import until
from tests.wandb_server import KEY, WandbServer
from tests.wandb_store import ServedRun

WRONG = "f" * 40


def start(folder: Path, name: str = "r1") -> Any:
    config = {"lr": 0.1, "layers": {"sizes": [8, 4]}}
    return tracking.run(project="flights", name=name, group="g", config=config, folder=folder)


def log(tracked: tracking.Tracked, *losses: float) -> None:
    for step, loss in enumerate(losses):
        tracked.log({"loss": loss}, step=step)


def only(server: WandbServer) -> ServedRun:
    (run,) = server.runs.values()
    return run


def losses(run: ServedRun) -> list[tuple[int, float]]:
    return [(row["_step"], row["loss"]) for row in run.history]


def run_told_command(output: str, folder: Path) -> None:
    """Runs the command that the platform told the user to run, in a shell like the user's."""
    told = re.search(r"with `(wandb sync [^`]+)`", output)
    assert told, output
    _, *arguments = shlex.split(told[1])
    ended = subprocess.run(
        [str(Path(sys.executable).parent / "wandb"), *arguments],
        env={**os.environ, "WANDB_API_KEY": KEY},
        cwd=folder,  # It leaves a log in its working directory.
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert KEY not in ended.stdout + ended.stderr


def assert_no_key(folder: Path, output: str) -> None:
    """The key appears neither as text nor as it is sent."""
    for key in (KEY, WRONG):
        for text in (key, base64.b64encode(f"api:{key}".encode()).decode()):
            assert text not in output
            assert [file for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()] == []


def test_a_run_is_at_the_server_while_it_runs_and_ends_there_as_finished(
    server: WandbServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with start(tmp_path) as tracked:
        log(tracked, 0.5, 0.25)
        until(lambda: only(server).history or None, 10, "the first row at the server")
        assert only(server).state == "running"
        tracked.log({"loss": 0.125}, step=7)
        tracked.summarise({"validation_auc": 0.7})
    run = only(server)
    assert (run.project, run.name, run.group) == ("flights", "r1", "g")
    assert run.config == {"lr": 0.1, "layers": {"sizes": [8, 4]}}
    assert losses(run) == [(0, 0.5), (1, 0.25), (7, 0.125)]
    assert (run.summary["loss"], run.summary["validation_auc"]) == (0.125, 0.7)
    assert (run.state, run.exit_code) == ("finished", 0)
    assert b"lr:" in run.files["config.yaml"]
    assert tracked.file.is_relative_to(tmp_path / "wandb")
    said = capfd.readouterr()
    assert_no_key(tmp_path, said.out + said.err)


def test_a_run_whose_body_raises_ends_there_as_failed(server: WandbServer, tmp_path: Path) -> None:
    def body() -> None:
        with start(tmp_path) as tracked:
            log(tracked, 0.5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()
    run = only(server)
    assert (run.state, run.exit_code, losses(run)) == ("failed", 1, [(0, 0.5)])


def test_a_key_that_the_server_does_not_know_costs_one_line_and_the_right_one_syncs_the_run(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", WRONG)
    for name in ("r1", "r2"):
        with start(tmp_path, name) as tracked:
            log(tracked, 0.5)
    wandb.teardown()
    said = capfd.readouterr()
    assert (said.out.count("\n"), said.err) == (1, "")
    assert "start W&B run r1: user is not logged in; expected a reachable server that accepts" in said.out
    assert (server.denied, server.runs) == (1, {}), "the second run does not ask again"
    assert {folder.name[:12] for folder in (tmp_path / "wandb").iterdir()} == {"offline-run-"}
    run_told_command(said.out, tmp_path)
    assert sorted((run.name, run.state, losses(run)) for run in server.runs.values()) == [
        ("r1", "finished", [(0, 0.5)]),
        ("r2", "finished", [(0, 0.5)]),
    ]
    assert_no_key(tmp_path, said.out)


@pytest.mark.parametrize("key", ["too-short", "not a key, and yet it has more than forty letters"])
def test_a_key_that_is_none_is_named_and_the_run_goes_on_offline(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], key: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    with start(tmp_path) as tracked:
        log(tracked, 0.5)
    said = capfd.readouterr()
    assert "start W&B run r1: WANDB_API_KEY invalid: API key" in said.out
    assert key not in said.out + said.err
    assert tracked.file.parent.name.startswith("offline-run-")
    assert server.asked == []


def test_a_key_that_ends_in_a_newline_is_taken(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", f"{KEY}\n")
    with start(tmp_path) as tracked:
        log(tracked, 0.5)
    assert only(server).state == "finished"


def test_a_server_that_goes_away_holds_nothing_up_and_gets_all_of_the_run_when_it_is_back(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 2.0)
    with start(tmp_path) as tracked:
        log(tracked, 0.5, 0.25)
        until(lambda: only(server).history or None, 10, "the first row at the server")
        server.stop()
        started = time.monotonic()
        tracked.log({"loss": 0.125}, step=7)
        assert time.monotonic() - started < 0.5, "a row waits for no server"
    assert time.monotonic() - started < tracking.FINISH_SECONDS + 2
    assert only(server).state == "running"
    with start(tmp_path, "r2") as after:
        log(after, 0.5)
    assert after.file.parent.name.startswith("offline-run-"), "the next run does not wait for it again"
    server.start()
    said = capfd.readouterr().out
    assert "the upload did not finish within 2 s. All of it is on disk" in said
    run_told_command(said, tmp_path)
    run = only(server)
    assert (run.state, losses(run), run.summary["loss"]) == ("finished", [(0, 0.5), (1, 0.25), (7, 0.125)], 0.125)


OFFLINE = """\
import sys
from pathlib import Path
from sailplane import tracking

with tracking.run(project="flights", name="r1", group="g", config={"lr": 0.1}, folder=Path(sys.argv[1])) as tracked:
    for step, loss in enumerate((0.5, 0.25)):
        tracked.log({"loss": loss}, step=step)
    tracked.summarise({"validation_auc": 0.7})
"""


def test_an_offline_run_talks_to_nobody_and_can_be_synced(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    # Waits for the end, because the client sends a report on itself when its process exits.
    subprocess.run([sys.executable, "-c", OFFLINE, str(tmp_path)], check=True)
    assert server.asked == []
    run_told_command(f"with `wandb sync {tmp_path / 'wandb'}`", tmp_path)
    run = only(server)
    assert (run.project, run.name, run.group, run.config) == ("flights", "r1", "g", {"lr": 0.1})
    assert (run.state, losses(run), run.summary["validation_auc"]) == ("finished", [(0, 0.5), (1, 0.25)], 0.7)


def test_the_users_own_switch_keeps_a_run_here_in_spite_of_a_key(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with start(tmp_path) as tracked:
        log(tracked, 0.5)
    assert tracked.file.parent.name.startswith("offline-run-")
    assert server.asked == []
