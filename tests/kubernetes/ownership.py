"""The owners of fields, as in `managedFields`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.kubernetes import patches
from tests.kubernetes.refusals import Refused

Object = dict[str, Any]

_NONE = object()


@dataclass(frozen=True)
class Writer:
    """A writer, and how strictly it wants unknown fields treated."""

    manager: str = "tests"
    validation: str = "Warn"
    dry_run: bool = False
    apply: bool = False
    force: bool = False


@dataclass
class Stored:
    """A stored object. `owned` has paths by manager and operation."""

    value: Object
    owned: dict[tuple[str, str], set[patches.Path]] = field(default_factory=dict)


def own(stored: Stored, before: Object, by: Writer) -> None:
    """Gives the changed fields to the writer alone."""
    old, new = dict(patches.leaves(_ownable(before))), dict(patches.leaves(_ownable(stored.value)))
    changed = {path for path, value in new.items() if path and old.get(path, _NONE) != value}
    for owner, paths in stored.owned.items():
        stored.owned[owner] = (paths - changed) & set(new)
    who = (by.manager, "Apply" if by.apply else "Update")
    stored.owned[who] = stored.owned.get(who, set()) | changed


def check_owners(stored: Stored, wanted: dict[patches.Path, Any], by: Writer) -> None:
    """Raises Refused if another manager owns a field with another value."""
    now = dict(patches.leaves(_ownable(stored.value)))
    differ = [path for path, value in wanted.items() if now.get(path, _NONE) != value]
    found = [
        f'conflict with "{who}": .{".".join(path)}'
        for (who, _), paths in stored.owned.items()
        for path in differ
        if who != by.manager and path in paths
    ]
    if found and not by.force:
        raise Refused(409, f"Apply failed with {len(found)} conflicts: {'; '.join(found)}", causes=found)


def managed_fields(stored: Stored, api_version: str) -> list[Object]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shared = {"apiVersion": api_version, "time": now, "fieldsType": "FieldsV1"}
    owned = {who: paths for who, paths in stored.owned.items() if paths}
    return [
        {"manager": manager, "operation": how, **shared, "fieldsV1": patches.fields(paths)}
        for (manager, how), paths in owned.items()
    ]


def _ownable(value: Object) -> Object:
    metadata = value.get("metadata", {})
    named = {part: metadata[part] for part in ("labels", "annotations") if metadata.get(part)}
    rest = {part: inner for part, inner in value.items() if part not in ("apiVersion", "kind", "metadata")}
    return {**rest, **({"metadata": named} if named else {})}
