from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema

from sailplane.records import Model
from tests.kubernetes import schemas, webhook
from tests.kubernetes.kinds import find

STARTED = datetime(2026, 11, 23, tzinfo=UTC)
ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"


def model(version: str = ONE, name: str = "flights", uri: str = "s3://lake/models/flights") -> Model:
    where = f"{uri}/{version}"
    return Model(name=name, version=version, uri=where, digest=version, run="r", dataset="d", as_of=STARTED)


def check(value: dict[str, Any]) -> None:
    """Checks an object by the CRD's own schema, without unknown fields, and by the webhook's rules."""
    group, _, version = value["apiVersion"].partition("/")
    kind = find(group, f"{value['kind'].lower()}s")
    assert kind, value["kind"]
    assert kind.schema, value["kind"]
    assert kind.version == version
    schema = schemas.whole(kind.schema)
    jsonschema.Draft202012Validator(schema).validate(value)
    assert list(schemas.unknown(schema, value)) == []
    if value["kind"] == "SeldonDeployment":
        assert list(webhook.rules(value["spec"])) == []
