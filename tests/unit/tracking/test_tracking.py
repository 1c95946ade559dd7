from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb

from sailplane import tracking
from sailplane.errors import ConfigurationError
from sailplane.training import jobs


def read(file: Path) -> dict[str, Any]:
    """Returns the record as W&B's own reader sees it."""
    core = Path(wandb.__file__).parent / "bin" / "wandb-core"
    command = [core, "leet", "inspect", "-no-observability", "-json", "-summary", "-run-file", file, "."]
    record: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return record


def start(folder: Path) -> Any:
    return tracking.run(project="flights", name="r1", group="g", config={"lr": 0.1}, folder=folder)


@pytest.mark.slow
def test_a_run_is_a_file_that_wandbs_own_reader_reads(tmp_path: Path) -> None:
    with start(tmp_path) as tracked:
        tracked.log({"loss": 0.5}, step=0)
        tracked.log({"loss": 0.25}, step=7)
        tracked.summarise({"validation_auc": 0.7})
    assert tracked.file.is_relative_to(tmp_path / "wandb")
    record = read(tracked.file)
    assert (record["project"], record["name"], record["config"]) == ("flights", "r1", {"lr": 0.1})
    assert (record["state"], record["exit_code"], record["step"]) == ("finished", 0, 7)
    assert (record["summary"]["loss"], record["summary"]["validation_auc"]) == (0.25, 0.7)


def stop_while_logging(folder: Path, seen: list[tracking.Tracked]) -> None:
    with start(folder) as tracked:
        seen.append(tracked)
        tracked.log({"loss": 0.5}, step=0)
        raise SystemExit(143)


@pytest.mark.slow
def test_a_run_that_is_stopped_is_finished_with_its_last_row(tmp_path: Path) -> None:
    seen: list[tracking.Tracked] = []
    with pytest.raises(SystemExit):
        stop_while_logging(tmp_path, seen)
    record = read(seen[0].file)
    assert (record["exit_code"], record["summary"]["loss"]) == (1, 0.5)


KILLED = """
import sys
from pathlib import Path
import psutil
from sailplane import tracking

about = {"project": "flights", "name": "r1", "group": "g", "config": {}, "folder": Path(sys.argv[1])}
try:
    with tracking.run(**about) as tracked:
        tracked.log({"loss": 0.5}, step=0)
        (core,) = [child for child in psutil.Process().children(recursive=True) if child.name() == "wandb-core"]
        core.kill()
        core.wait()
        raise SystemExit(143)
except Exception as error:
    print("instead:", repr(error))
"""


@pytest.mark.slow
def test_a_stop_stays_a_stop_where_wandbs_own_process_was_stopped_too(tmp_path: Path) -> None:
    # This excludes the process that this test's own client started.
    env = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], env=env, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 143, ended.stdout + ended.stderr
    assert "finish W&B run r1: " in ended.stdout


@pytest.fixture
def fresh() -> Iterator[None]:
    """Starts the client anew, because it reads its environment only once in a process."""
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.slow
def test_without_a_network_a_run_with_a_key_goes_on_offline_and_says_so(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(tracking, "INIT_SECONDS", 2.0)
    with start(tmp_path) as tracked:
        tracked.log({"loss": 0.5}, step=0)
    said = capsys.readouterr()
    assert "connection refused; expected a reachable server" in said.out
    assert said.out.count("\n") == 1
    assert key not in said.out + said.err
    assert read(tracked.file)["summary"]["loss"] == 0.5
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and key.encode() in file.read_bytes()]


def test_settings_that_are_wrong_are_named(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "localhost:8080")
    with pytest.raises(ConfigurationError, match=r"WANDB_ variables: .*base_url URL scheme should be"):
        start(tmp_path).__enter__()


def test_a_job_that_is_told_to_stop_is_given_the_time_to_finish_its_run() -> None:
    assert tracking.FINISH_SECONDS <= jobs.STOP_SECONDS - 2
