"""JSON schemas of a model's messages by name, for the OpenAPI document.

https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sailplane.bundles.columns import EXPECTED, LARGEST_NUMBER
from sailplane.bundles.manifest import Manifest
from sailplane.records import Check, Field, FieldKind
from sailplane.serving.open_inference import messages as open_inference

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
# Some clients send null for members that they do not set.
_MAYBE: Final[Schema] = {"type": ["object", "null"]}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}


def schemas(manifest: Manifest) -> dict[str, Schema]:
    return {**_seldon(manifest), **_open_inference(manifest), **_feedback(), "Failure": _FAILURE}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _fields(inputs: Sequence[Field], values: Sequence[Schema]) -> Schema:
    required = [field.name for field in inputs if not field.optional]
    properties = {field.name: value for field, value in zip(inputs, values, strict=True)}
    return {"type": "object", "required": required, "properties": properties}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


_FAILURE: Final[Schema] = _object(
    {"error": TEXT, "status": _object({"code": {"type": "integer"}, "info": TEXT, "status": {"const": "FAILURE"}})}
)


def _feedback() -> dict[str, Schema]:
    """Feedback on a prediction, identified by the puid of its response or request."""
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
    sentences = [EXPECTED[field.kind], *(check.says for check in field.checks)]
    if not field.required:
        sentences.append("the model does not read it")
    schema = {**_TYPES[field.kind], "description": "; ".join(sentences)}
    for check in field.checks:
        schema |= _constraint(check, field.kind)
    if not field.optional or not all(check.null for check in field.checks if field.nullable):
        return schema
    members = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **members}


def _constraint(check: Check, kind: FieldKind) -> Schema:
    """The check as a JSON Schema constraint; empty if JSON Schema has none. The description lists all checks."""
    arguments = check.arguments
    if check.name == "isin" and kind in ("string", "boolean", "integer"):
        return {"enum": arguments["allowed_values"]}
    if check.name == "str_length":
        sizes = {"minLength": arguments.get("min_value"), "maxLength": arguments.get("max_value")}
        exact = arguments.get("exact_value")
        sizes = sizes if exact is None else dict.fromkeys(sizes, exact)
        return {name: size for name, size in sizes.items() if size is not None}
    if kind not in ("number", "integer"):
        return {}
    low, high = arguments.get("min_value"), arguments.get("max_value")
    without_low = check.name == "greater_than" or arguments.get("include_min") is False
    without_high = check.name == "less_than" or arguments.get("include_max") is False
    bounds = {
        "exclusiveMinimum" if without_low else "minimum": low,
        "exclusiveMaximum" if without_high else "maximum": high,
    }
    return {name: bound for name, bound in bounds.items() if isinstance(bound, int | float)}


def _seldon(manifest: Manifest) -> dict[str, Schema]:
    inputs = manifest.inputs
    names, values = [field.name for field in inputs], [_value(field) for field in inputs]
    same = "In the order of the values. Nullable fields and fields that the model ignores may be missing."
    named = {"enum": [names, [], None], "description": same}
    rows = _object({"ndarray": _list(reference("Row"), minItems=1)}, names=named)
    shape = {"type": "array", "prefixItems": [_COUNT, {"const": len(names)}], "minItems": 2, "maxItems": 2}
    tensor = _object({"shape": shape, "values": _list({"anyOf": _distinct(values)}, minItems=1)})
    records = {"oneOf": [reference("Record"), _list(reference("Record"), minItems=1)]}
    meta = reference("Meta")
    return {
        "Record": {**_fields(inputs, values), "additionalProperties": False},
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
    """Scores as rows, or as a tensor if the request had one."""
    tensor = _object({"shape": _list(_COUNT), "values": _SCORES})
    return _object({"names": {"const": list(manifest.outputs)}}, ndarray=_list(_SCORES), tensor=tensor)


def _distinct(schemas: list[Schema]) -> list[Schema]:
    return [schema for index, schema in enumerate(schemas) if schema not in schemas[:index]]


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
    fewest = max(1, sum(not field.optional for field in inputs))
    tensors = _list({"oneOf": [_tensor(field) for field in inputs]}, minItems=fewest, maxItems=len(inputs))
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
    if field.kind == "boolean" and field.optional:
        flag = {"enum": [0, 1, None], "description": "as FP64 or FP32"}
        value = {"anyOf": [value, flag]}
    return _object(
        {
            "name": {"const": field.name},
            "shape": _list(_COUNT, minItems=1, maxItems=2),
            "datatype": {"enum": list(open_inference.datatypes(field))},
            # Flat, or nested like the shape.
            "data": _list({"anyOf": [value, _list(value)]}, minItems=1),
        },
        parameters=_MAYBE,
    )
