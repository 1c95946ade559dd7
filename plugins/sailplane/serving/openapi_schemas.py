"""What the messages of a model look like, as JSON schemas by name; for the OpenAPI document.

https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sailplane.records import Field, FieldKind
from sailplane.registry.columns import EXPECTED, LARGEST_NUMBER
from sailplane.registry.manifest import Manifest
from sailplane.serving import open_inference

Schema = dict[str, Any]
_TYPES: Final[dict[FieldKind, Schema]] = {
    "number": {"type": "number", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
    "integer": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "timestamp": {"type": "string", "format": "date-time"},
}
ANY: Final[Schema] = {"type": "object"}
TEXT: Final[Schema] = {"type": "string"}
# Some clients send null for what they do not set.
_MAYBE: Final[Schema] = {"type": ["object", "null"]}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}


def schemas(manifest: Manifest) -> dict[str, Schema]:
    return {**_seldon(manifest), **_open_inference(manifest), **_feedback(), "Failure": _FAILURE}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


_FAILURE: Final[Schema] = _object(
    {"error": TEXT, "status": _object({"code": {"type": "integer"}, "info": TEXT, "status": {"const": "FAILURE"}})}
)


def _feedback() -> dict[str, Schema]:
    """On a prediction, by the puid that either side says."""
    path = {"type": ["object", "null"], "additionalProperties": TEXT}
    meta = {"type": ["object", "null"], "properties": {"puid": _MAYBE_TEXT, "requestPath": path}}
    side = {"type": ["object", "null"], "properties": {"meta": meta}}
    named = _object({"meta": _object({"puid": {**TEXT, "minLength": 1}})})
    reward = {**_TYPES["number"], "type": ["number", "null"]}
    return {
        "FeedbackRequest": {
            **_object({}, response=side, request=side, reward=reward, truth=_MAYBE),
            "additionalProperties": False,
            "anyOf": [_object({"response": named}), _object({"request": named})],
        },
        "Feedback": _object({"meta": _object({"puid": TEXT, "requestPath": path})}),
    }


def _value(field: Field) -> Schema:
    schema = {**_TYPES[field.kind], "description": EXPECTED[field.kind]}
    return schema | ({"type": [schema["type"], "null"]} if field.nullable else {})


def _seldon(manifest: Manifest) -> dict[str, Schema]:
    inputs = manifest.inputs
    names, values = [field.name for field in inputs], [_value(field) for field in inputs]
    same = "In another order too, if the values have it."
    named = {"enum": [names, [], None], "description": same}
    rows = _object({"ndarray": _list(reference("Row"), minItems=1)}, names=named)
    shape = {"type": "array", "prefixItems": [_COUNT, {"const": len(names)}], "minItems": 2, "maxItems": 2}
    tensor = _object({"shape": shape, "values": _list({"anyOf": _distinct(values)}, minItems=1)})
    records = {"oneOf": [reference("Record"), _list(reference("Record"), minItems=1)]}
    meta = reference("Meta")
    return {
        "Record": {**_object(dict(zip(names, values, strict=True))), "additionalProperties": False},
        "Row": {"type": "array", "prefixItems": values, "minItems": len(names), "maxItems": len(names)},
        "Meta": _object({}, puid=TEXT, tags=ANY, requestPath={"type": "object", "additionalProperties": TEXT}),
        "PredictionRequest": {
            "oneOf": [
                {
                    **_object({"data": {"oneOf": [rows, _object({"tensor": tensor}, names=named)]}}, meta=meta),
                    "additionalProperties": False,
                },
                {**_object({"jsonData": records}, meta=meta), "additionalProperties": False},
            ]
        },
        "Prediction": _object({"data": _scores(manifest), "meta": meta}),
    }


_COUNT: Final[Schema] = {"type": "integer", "minimum": 1}
_SCORES: Final[Schema] = _list({"type": "number"})


def _scores(manifest: Manifest) -> Schema:
    """As rows, or as a tensor if the request was one."""
    tensor = _object({"shape": _list(_COUNT), "values": _SCORES})
    return _object({"names": {"const": list(manifest.outputs)}}, ndarray=_list(_SCORES), tensor=tensor)


def _distinct(schemas: list[Schema]) -> list[Schema]:
    return [schema for place, schema in enumerate(schemas) if schema not in schemas[:place]]


def _open_inference(manifest: Manifest) -> dict[str, Schema]:
    inputs = manifest.inputs
    output = _object({"name": {"const": open_inference.OUTPUT}}, parameters=_MAYBE)
    answered = _object(
        {
            "name": {"const": open_inference.OUTPUT},
            "shape": _list(_COUNT),
            "datatype": {"const": "FP32"},
            "data": _SCORES,
        }
    )
    tensors = _list({"oneOf": [_tensor(field) for field in inputs]}, minItems=len(inputs), maxItems=len(inputs))
    return {
        "InferenceRequest": _object(
            {"inputs": tensors},
            id=_MAYBE_TEXT,
            outputs={"anyOf": [_list(output, maxItems=1), {"type": "null"}]},
            parameters=_MAYBE,
        ),
        "Inference": _object(
            {"model_name": TEXT, "model_version": TEXT, "outputs": _list(answered)}, id=_MAYBE_TEXT, parameters=_MAYBE
        ),
    }


def _tensor(field: Field) -> Schema:
    value = _value(field)
    return _object(
        {
            "name": {"const": field.name},
            "shape": _list(_COUNT, minItems=1, maxItems=2),
            "datatype": {"enum": list(open_inference.DATATYPES[field.kind])},
            # Flat, or nested as the shape is.
            "data": _list({"anyOf": [value, _list(value)]}, minItems=1),
        },
        parameters=_MAYBE,
    )
