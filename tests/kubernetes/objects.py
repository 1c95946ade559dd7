"""The objects of the API server: their versions, the owners of their fields, and their events."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.kubernetes import patches, schemas, webhook
from tests.kubernetes.kinds import Kind
from tests.kubernetes.ownership import Stored, Writer, check_owners, managed_fields, own
from tests.kubernetes.refusals import Refused

Object = dict[str, Any]
Key = tuple[Kind, str, str]
# The fields that only the server writes.
OURS = ("uid", "creationTimestamp", "generation", "resourceVersion", "managedFields", "selfLink", "deletionTimestamp")


class Objects:
    """The objects. Each change has its own version; `events` holds all changes for watches."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.stored: dict[Key, Stored] = {}
        self.events: list[tuple[int, str, Kind, Object]] = []
        self.version = 1

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        with self.lock:
            return copy.deepcopy(self._stored(kind, namespace, name).value)

    def list(self, kind: Kind, namespace: str = "") -> list[Object]:
        with self.lock:
            found = [stored.value for key, stored in self.stored.items() if key[0] == kind]
            return [copy.deepcopy(one) for one in found if not namespace or one["metadata"]["namespace"] == namespace]

    def create(self, kind: Kind, namespace: str, value: Object, by: Writer) -> tuple[Object, list[str]]:
        with self.lock:
            metadata = value.setdefault("metadata", {})
            if "name" not in metadata and "generateName" in metadata:
                metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
            if metadata.get("namespace", namespace) != namespace:
                raise Refused(
                    400, "the namespace of the provided object does not match the namespace sent on the request"
                )
            if not metadata.get("name"):
                raise Refused(422, f"{kind.long_name} is invalid: metadata.name: Required value: name is required")
            key = (kind, namespace, metadata["name"])
            if key in self.stored:
                told = f'{_resource(kind)} "{metadata["name"]}" already exists'
                raise Refused(409, told, reason="AlreadyExists")
            if kind.schema:
                value.pop("status", None)
            value, warnings = self._admitted(kind, value, by)
            metadata = {name: part for name, part in value["metadata"].items() if name not in OURS}
            born = {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
            space = {"namespace": namespace} if kind.namespaced else {}
            value["metadata"] = {**metadata, **space, **born}
            stored = Stored(value)
            own(stored, {}, by)
            self._keep(key, stored, "ADDED", by)
            return copy.deepcopy(stored.value), warnings

    def update(
        self, kind: Kind, namespace: str, name: str, edit: Callable[[Object], Object], by: Writer, part: str = ""
    ) -> tuple[Object, list[str]]:
        """Updates the object. With the `part` "status" only the status changes, otherwise everything else."""
        with self.lock:
            stored = self._stored(kind, namespace, name)
            before = stored.value
            wanted = edit(copy.deepcopy(before))
            wanted.setdefault("metadata", {})
            self._check_version(kind, before, wanted)
            if kind.schema:
                wanted = _only_status(before, wanted) if part == "status" else _but_status(before, wanted)
            wanted, warnings = self._admitted(kind, wanted, by)
            theirs = {each: value for each, value in wanted["metadata"].items() if each not in OURS}
            ours = {each: value for each, value in before["metadata"].items() if each in OURS}
            wanted["metadata"] = {**theirs, **ours, "namespace": namespace} if namespace else {**theirs, **ours}
            if wanted == before:
                return copy.deepcopy(before), warnings
            if wanted.get("spec") != before.get("spec"):
                wanted["metadata"]["generation"] = before["metadata"]["generation"] + 1
            changed = Stored(wanted, copy.deepcopy(stored.owned))
            own(changed, before, by)
            if "deletionTimestamp" in wanted["metadata"] and not wanted["metadata"].get("finalizers"):
                self._gone((kind, namespace, name), changed)
            else:
                self._keep((kind, namespace, name), changed, "MODIFIED", by)
            return copy.deepcopy(changed.value), warnings

    def apply(self, kind: Kind, namespace: str, name: str, value: Object, by: Writer) -> tuple[Object, list[str]]:
        """Applies on the server's side. Raises Refused if another manager owns the field with another value, unless
        forced."""
        with self.lock:
            if (kind, namespace, name) not in self.stored:
                return self.create(kind, namespace, value, by)
            stored = self._stored(kind, namespace, name)
            config = {part: value[part] for part in value if part not in ("apiVersion", "kind", "metadata", "status")}
            metadata = value.get("metadata", {})
            config["metadata"] = {part: metadata[part] for part in ("labels", "annotations") if part in metadata}
            wanted = dict(patches.leaves({part: inner for part, inner in config.items() if inner != {}}))
            check_owners(stored, wanted, by)
            mine = stored.owned.get((by.manager, "Apply"), set())
            others = set().union(*(paths for who, paths in stored.owned.items() if who != (by.manager, "Apply")))

            def edit(found: Object) -> Object:
                for path in mine - wanted.keys() - others:
                    found = patches.without(found, path)
                version = {"resourceVersion": metadata["resourceVersion"]} if "resourceVersion" in metadata else {}
                return dict(patches.merged(found, {**config, "metadata": {**config["metadata"], **version}}))

            found, warnings = self.update(kind, namespace, name, edit, by)
            self.stored[kind, namespace, name].owned[by.manager, "Apply"] = set(wanted)
            return found, warnings

    def delete(self, kind: Kind, namespace: str, name: str, options: Object) -> Object:
        with self.lock:
            stored = self._stored(kind, namespace, name)
            metadata = stored.value["metadata"]
            for what, wanted in (options.get("preconditions") or {}).items():
                if wanted is not None and metadata[what] != wanted:
                    told = (
                        f'Operation cannot be fulfilled on {_resource(kind)} "{name}": the {what} in the precondition'
                    )
                    raise Refused(409, f"{told} ({wanted}) does not match the {what} in record ({metadata[what]})")
            if metadata.get("finalizers"):
                going = {**metadata, "deletionTimestamp": _now(), "deletionGracePeriodSeconds": 0}
                stored = Stored({**stored.value, "metadata": going}, stored.owned)
                self._keep((kind, namespace, name), stored, "MODIFIED", Writer())
            else:
                self._gone((kind, namespace, name), stored)
            return copy.deepcopy(stored.value)

    def since(self, version: int, kind: Kind, namespace: str, seconds: float) -> Iterator[tuple[str, Object]]:
        """Returns the events after this version. Waits once if there are none."""
        with self.lock:
            self.lock.wait_for(lambda: self.version > version, seconds)
            found = [(name, copy.deepcopy(value)) for at, name, of, value in self.events if at > version and of == kind]
        return iter([one for one in found if not namespace or one[1]["metadata"].get("namespace") == namespace])

    def _stored(self, kind: Kind, namespace: str, name: str) -> Stored:
        if (kind, namespace, name) not in self.stored:
            raise Refused(404, f'{_resource(kind)} "{name}" not found')
        return self.stored[kind, namespace, name]

    def _check_version(self, kind: Kind, before: Object, wanted: Object) -> None:
        version = wanted["metadata"].get("resourceVersion")
        if not version:
            told = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
            raise Refused(422, f'{kind.long_name} "{before["metadata"]["name"]}" is invalid: {told}')
        if version != before["metadata"]["resourceVersion"]:
            told = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refused(
                409, f'Operation cannot be fulfilled on {_resource(kind)} "{before["metadata"]["name"]}": {told}'
            )

    def _admitted(self, kind: Kind, value: Object, by: Writer) -> tuple[Object, list[str]]:
        """Returns the checked object without unknown fields, and the warnings about it."""
        value = {"apiVersion": kind.api_version, "kind": kind.kind, **value}
        if (value["apiVersion"], value["kind"]) != (kind.api_version, kind.kind):
            raise Refused(400, f"the object provided is no {kind.kind} of {kind.api_version}")
        if not kind.schema:
            return value, []
        schema = schemas.whole(kind.schema)
        unknown = [f'unknown field "{path}"' for path in schemas.unknown(schema, value)]
        if unknown and by.validation == "Strict":
            told = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise Refused(400, f"{told}: strict decoding error: {', '.join(unknown)}", causes=unknown)
        value = schemas.pruned(schema, value)
        if wrong := list(schemas.mistakes(schema, value)):
            told = f'{kind.long_name} "{value["metadata"].get("name")}" is invalid: {"; ".join(wrong)}'
            raise Refused(422, told, causes=wrong)
        if kind.kind == "SeldonDeployment":
            webhook.check(webhook.defaulted(value))
        return value, unknown if by.validation == "Warn" else []

    def _keep(self, key: Key, stored: Stored, event: str, by: Writer) -> None:
        if by.dry_run:
            return
        self.version += 1
        entries = managed_fields(stored, key[0].api_version)
        stored.value["metadata"] |= {"resourceVersion": str(self.version), "managedFields": entries}
        self.stored[key] = stored
        self._tell(event, key[0], stored.value)

    def _gone(self, key: Key, stored: Stored) -> None:
        self.version += 1
        stored.value["metadata"]["resourceVersion"] = str(self.version)
        del self.stored[key]
        self._tell("DELETED", key[0], stored.value)

    def _tell(self, event: str, kind: Kind, value: Object) -> None:
        self.events.append((self.version, event, kind, copy.deepcopy(value)))
        self.lock.notify_all()


def _only_status(before: Object, wanted: Object) -> Object:
    status = {"status": wanted["status"]} if "status" in wanted else {}
    return {**{name: part for name, part in before.items() if name != "status"}, **status}


def _but_status(before: Object, wanted: Object) -> Object:
    status = {"status": before["status"]} if "status" in before else {}
    return {**{name: part for name, part in wanted.items() if name != "status"}, **status}


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
