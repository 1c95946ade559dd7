from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sailplane.deployment.kubernetes import core_v2_objects as objects
from sailplane.deployment.kubernetes.workloads import CoreV2
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DeploymentError
from sailplane.serving.open_inference import messages as open_inference
from tests.unit.bundles import tiny
from tests.unit.deployment.kubernetes.conftest import ONE, STARTED, THREE, TWO, check, model


@pytest.mark.parametrize(
    "workload", [CoreV2(), CoreV2(replicas=3, memory="2Gi", secret="rclone")], ids=["plain", "full"]
)
def test_a_version_is_a_model_that_the_cluster_takes(workload: CoreV2) -> None:
    made = objects.model_object(model(), workload, STARTED)
    check(made)
    assert made["metadata"]["name"] == f"flights-v{ONE}"
    assert made["spec"]["storageUri"] == model().uri
    assert made["spec"].get("secretName") == workload.secret
    assert "parameters" not in made["spec"]


def test_the_choice_for_violations_is_a_parameter_of_the_model() -> None:
    made = objects.model_object(model(), CoreV2(on_violation="flag"), STARTED)
    check(made)
    assert made["spec"]["parameters"] == [{"name": "on_violation", "value": "flag"}]


@pytest.mark.parametrize(
    "split",
    [
        TrafficSplit({ONE: 100}),
        TrafficSplit({ONE: 99, TWO: 1}),
        TrafficSplit({ONE: 100}, TWO),
        TrafficSplit({ONE: 50, TWO: 50}, THREE),
    ],
)
def test_every_split_of_a_rollout_is_an_experiment_that_the_cluster_takes_and_is_read_back(split: TrafficSplit) -> None:
    made = objects.experiment("flights", split)
    check(made)
    assert objects.split(made, "flights") == split


def test_weights_that_are_not_100_in_all_are_refused() -> None:
    with pytest.raises(DeploymentError, match="100 in all"):
        objects.experiment("flights", TrafficSplit({ONE: 60, TWO: 60}))


def told(condition: dict[str, Any] | None, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "ModelReady", "status": "Unknown"}, {"type": "Ready", **condition}] if condition else []
    return {"metadata": {"generation": 2}, "status": {"conditions": conditions, **status}}


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        ({"metadata": {}}, "starting"),
        (told(None), "starting"),
        (told({"status": "True"}), "ready"),
        (told({"status": "True"}, observedGeneration=1), "starting"),
        (told({"status": "False", "reason": "ModelProgressing"}), "starting"),
        (told({"status": "False", "reason": "ScheduleFailed"}), "starting"),
        (told({"status": "False", "reason": "ModelFailed"}), "failed"),
    ],
)
def test_a_model_is_ready_by_its_condition(found: dict[str, Any], seen: str) -> None:
    assert objects.readiness(found).state == seen


def test_the_golden_rows_are_a_message_that_our_own_server_reads_and_its_answer_has_their_scores(
    tmp_path: Path,
) -> None:
    bundle = tiny.bundle(tmp_path / "bundle", outputs=("late", "cancelled"))
    message = objects.request(bundle)
    columns = open_inference.columns(message, bundle.manifest.inputs)
    assert columns["wind"] == [row["wind"] for row in bundle.golden_records]
    scores = bundle.predict(bundle.frame(bundle.golden_records))
    body, _ = open_inference.reply(message, bundle.manifest, bundle.version, scores)
    bundle.compare(objects.scores(json.loads(body)))
