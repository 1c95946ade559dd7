"""A SeldonDeployment that somebody else wrote."""

from __future__ import annotations

from typing import Any

from tests.kubernetes_server import NAMESPACE

Object = dict[str, Any]
WHERE = ("machinelearning.seldon.io", "v1", NAMESPACE, "seldondeployments")
MERGE = {"_content_type": "application/merge-patch+json"}


def iris(name: str = "iris", **predictor: Any) -> Object:
    container = {"name": "classifier", "image": "iris:1"}
    one = {
        "name": "a",
        "graph": {"name": "classifier"},
        "componentSpecs": [{"spec": {"containers": [container]}}],
        **predictor,
    }
    kind = {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment"}
    return {**kind, "metadata": {"name": name, "labels": {"team": name}}, "spec": {"predictors": [one]}}


def several(*predictors: Object) -> Object:
    first = iris()["spec"]["predictors"][0]
    shaped = [{**first, "name": f"p{number}", **one} for number, one in enumerate(predictors)]
    return {**iris(), "spec": {"predictors": shaped}}
