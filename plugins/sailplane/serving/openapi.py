"""An OpenAPI 3.1 document of a model's requests and replies: its fields, their types and a golden row.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sailplane.bundles.bundle import Bundle
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.openapi_schemas import ANY, TEXT, Schema, reference, schemas

_NULLS = (
    "A nullable field is null if it is missing, null, or NaN in a tensor. Tensors of an integer may be FP64, "
    "and those of a nullable boolean FP64 with 0, 1 and NaN; in binary tensors and over gRPC, empty bytes are a null "
    "string or time. A value that breaks a field's description is refused, unless the deployment flags or answers it."
)


def document(bundle: Bundle, *, token: bool) -> dict[str, Any]:
    """The document. `token` says whether all paths except the health checks require a token."""
    manifest = bundle.manifest
    written: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.model,
            "version": bundle.version,
            "description": f"Predicts `{manifest.target}`: {', '.join(manifest.outputs)}. {_NULLS}",
        },
        # The paths are relative to the document: behind a router they share its prefix.
        "servers": [{"url": "."}],
        "paths": _paths(bundle),
        "components": {"schemas": schemas(manifest)},
    }
    if token:
        written["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        written["security"] = [{"token": []}]
    return written


def _paths(bundle: Bundle) -> dict[str, Any]:
    model = f"/v2/models/{bundle.manifest.model}"
    return {
        "/api/v1.0/predictions": {"post": _predict(bundle)},
        f"{model}/infer": {"post": _infer(bundle)},
        "/api/v1.0/feedback": {"post": _feed_back(bundle)},
        "/metadata": {"get": _get("metadata", "The model's metadata, in Seldon's protocol", ANY)},
        model: {"get": _get("modelMetadata", "The model's metadata, in the Open Inference Protocol", ANY)},
        f"{model}/ready": {"get": _get("modelReady", "Whether the model is ready", ANY)},
        "/v2": {"get": _get("serverMetadata", "The server's metadata", ANY)},
        "/v2/health/live": {"get": _health("live")},
        "/v2/health/ready": {"get": _health("ready")},
        "/health/status": {"get": _health("status")},
        "/health/ping": {"get": _health("ping", "text/plain")},
        "/metrics": {"get": _get("metrics", "Prometheus metrics", TEXT, "text/plain")},
    }


def _predict(bundle: Bundle) -> dict[str, Any]:
    example = bundle.example()["data"]
    names, [row] = example["names"], example["ndarray"]
    examples = {
        "rows": bundle.example(),
        "records": {"jsonData": [dict(zip(names, row, strict=True))]},
        "tensor": {"data": {"names": names, "tensor": {"shape": [1, len(row)], "values": row}}},
    }
    return _post("predict", "Predict, in Seldon's protocol", "Prediction", examples)


def _infer(bundle: Bundle) -> dict[str, Any]:
    whole = next((row for row in bundle.golden_records if None not in row.values()), bundle.golden_records[0])
    inputs = [
        {"name": f.name, "shape": [1], "datatype": open_inference.DATATYPES[f.kind][0], "data": [whole[f.name]]}
        for f in bundle.manifest.inputs
        if f.required
    ]
    return _post("infer", "Predict, in the Open Inference Protocol", "Inference", {"tensors": {"inputs": inputs}})


def _feed_back(bundle: Bundle) -> dict[str, Any]:
    answer = {"meta": {"puid": "the puid of the prediction", "requestPath": {bundle.manifest.model: bundle.version}}}
    fed_back = {"response": answer, "reward": 1.0, "truth": {"data": {"ndarray": [[1]]}}}
    return _post("feedBack", "Send the reward or the truth for an answer", "Feedback", {"both": fed_back})


def _post(name: str, summary: str, noun: str, examples: Mapping[str, Any]) -> dict[str, Any]:
    """A POST whose request has the schema `noun`Request and whose reply has the schema `noun`."""
    shown = {example: {"value": value} for example, value in examples.items()}
    content = {"application/json": {"schema": reference(f"{noun}Request"), "examples": shown}}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": {**_responses(reference(noun)), "503": _failed("The server is overloaded.")},
    }


def _get(name: str, summary: str, schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": _responses(schema, kind)}


def _health(name: str, kind: str = "application/json") -> dict[str, Any]:
    """Never requires a token."""
    schema = ANY if kind == "application/json" else TEXT
    return {**_get(name, "A health check", schema, kind), "security": []}


def _responses(schema: Schema, kind: str = "application/json") -> dict[str, Any]:
    right = {"description": "The answer.", "content": {kind: {"schema": schema}}}
    return {"200": right, "4XX": _failed("The request is wrong; the message says where.")}


def _failed(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": reference("Failure")}}}
