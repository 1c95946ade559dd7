"""The second project, through the same operators: nothing in the platform may know about flights."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import numpy as np
from sklearn.datasets import load_digits

from sailplane.records import Deployment, Evaluation
from tests.platform import Platform

PLATFORM = Path(__file__).parents[2] / "plugins"


def test_digits_are_recognised_by_the_served_model(platform: Platform) -> None:
    run = platform.trigger("digits")
    assert platform.wait(run) == "success"
    evaluation = Evaluation.from_dict(platform.xcom(run, "evaluate"))
    assert evaluation.metrics["challenger"]["auc"] > 0.95
    deployment = Deployment.from_dict(platform.xcom(run, "deploy"))

    images, digits = load_digits(return_X_y=True)
    names = ["scanned_at", *(f"pixel_{n:02d}" for n in range(64))]
    rows = [["2026-11-20T12:00:00Z", *image] for image in images[:100].tolist()]
    answer = httpx.post(deployment.endpoint, json={"data": {"names": names, "ndarray": rows}}, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["names"] == [str(digit) for digit in range(10)]
    scores = np.array(answer.json()["data"]["ndarray"])
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert (scores.argmax(axis=1) == digits[:100]).mean() > 0.9


def test_the_platform_does_not_know_its_users_projects() -> None:
    knows = re.compile(r"nycflights|carrier|departure|pixel|\bflights\b|include\.digits")
    assert [file for file in PLATFORM.rglob("*.py") if knows.search(file.read_text())] == []
