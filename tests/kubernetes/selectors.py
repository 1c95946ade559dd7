"""Label and field selectors."""

from __future__ import annotations

import re
from typing import Any

from tests.kubernetes.refusals import Refused


def selects(labels: str, fields: str, found: dict[str, Any]) -> bool:
    metadata = found["metadata"]
    known = metadata.get("labels") or {}
    places = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
    for term in filter(None, fields.split(",")):
        name, _, value = term.partition("=")
        if name not in places:
            raise Refused(400, f"field label not supported: {name}")
        if places[name] != value.removeprefix("="):
            return False
    return all(_holds(term.strip(), known) for term in re.split(r",(?![^(]*\))", labels) if term.strip())


def _holds(term: str, labels: dict[str, str]) -> bool:
    if found := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term):
        name, verb, values = found.groups()
        inside = labels.get(name) in [value.strip() for value in values.split(",")]
        return inside if verb == "in" else not inside
    if "!=" in term:
        name, _, value = term.partition("!=")
        return labels.get(name.strip()) != value.strip()
    if "=" in term:
        name, _, value = term.partition("=")
        return labels.get(name.strip()) == value.removeprefix("=").strip()
    return term[1:] not in labels if term.startswith("!") else term in labels
