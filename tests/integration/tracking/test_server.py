"""The server that stands in for W&B's: faults that it would hide from the tests that use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import httpx
import pytest
import wandb

from tests.wandb_server import KEY, WandbServer, wandb_server


def ask(server: WandbServer, name: str, query: str, key: str = KEY) -> httpx.Response:
    body = {"operationName": name, "query": query, "variables": {"project": "p", "name": "r"}}
    return httpx.post(f"{server.url}/graphql", json=body, auth=("api", key))


@pytest.mark.parametrize(
    ("name", "query", "reason"),
    [
        (
            "CreateAgent",
            "mutation CreateAgent { createAgent { agent { id } } }",
            "GraphQL operation CreateAgent: unknown",
        ),
        (
            "RunResumeStatus",
            "query RunResumeStatus { model { id owner } }",
            "GraphQL fields of .*model: owner; expected",
        ),
    ],
)
def test_what_it_does_not_know_is_an_error_and_fails_the_test(name: str, query: str, reason: str) -> None:
    def use() -> None:
        with wandb_server() as server:
            answer = ask(server, name, query)
            assert answer.status_code == 400
            assert answer.json()["errors"]

    with pytest.raises(AssertionError, match=reason):
        use()


def test_without_the_right_key_it_says_nothing() -> None:
    with wandb_server() as server:
        answer = ask(server, "RunResumeStatus", "query RunResumeStatus { model { id } }", key="f" * 40)
        assert (answer.status_code, answer.json()["data"], server.denied) == (401, None, 1)


def test_a_run_is_resumed_after_its_last_step(server: WandbServer, tmp_path: Path) -> None:
    tries: tuple[tuple[Literal["never", "must"], float], ...] = (("never", 0.5), ("must", 0.25))
    for resume, loss in tries:
        settings = wandb.Settings(silent=True, console="off", symlink=False, x_disable_stats=True, disable_git=True)
        with wandb.init(project="p", id="r", dir=tmp_path, resume=resume, settings=settings) as run:
            run.log({"loss": loss})
    (served,) = server.runs.values()
    assert [(row["_step"], row["loss"]) for row in served.history] == [(0, 0.5), (1, 0.25)]
    assert json.loads(served.files["wandb-metadata.json"])["python"]
