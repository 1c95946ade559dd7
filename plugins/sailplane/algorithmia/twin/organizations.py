"""Users and organizations as documents in the store. An organization owns algorithms for its members."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid4, uuid5

from sailplane.algorithmia.twin.api_keys import USER_NAME, checked_name
from sailplane.algorithmia.twin.documents import Document, Documents
from sailplane.errors import ConflictError, RequestError
from sailplane.storage.store import Storage

# The only kind: its members have all its permissions.
TYPES: Final = [{"id": str(uuid5(NAMESPACE_URL, "algorithmia:organization:basic")), "name": "basic"}]
_EDITABLE: Final = ("org_label", "org_contact_name", "org_email", "org_url", "type_id")


class Organizations:
    def __init__(self, storage: Storage) -> None:
        self._documents = Documents(storage)

    def members(self, name: str) -> list[str]:
        found = self._documents.find(_organization(name)) if USER_NAME.fullmatch(name) else None
        return list(found["members"]) if found else []

    def create(self, caller: str, body: Document, users: set[str]) -> Document:
        """The caller becomes its first member. ConflictError for the name of a user or of another organization."""
        name = _name(body, "org_name")
        about = {key: body.get(key) for key in _EDITABLE}
        _check_type(about["type_id"])
        found = {
            "id": str(uuid4()),
            "org_name": name,
            **about,
            "org_created_at": _now(),
            "members": [caller],
        }
        taken = name in users or self._documents.find(_user(name)) is not None
        if taken or not self._documents.create(_organization(name), found):
            raise ConflictError("create organization", name, got="the name is taken")
        return _shown(found)

    def get(self, name: str) -> Document:
        """Raises FileNotFoundError."""
        found = self._documents.find(_organization(checked_name(name)))
        if found is None:
            raise FileNotFoundError(f"Organization {name}")
        return _shown(found)

    def edit(self, caller: str, name: str, body: Document) -> None:
        about: Document = {key: body[key] for key in _EDITABLE if key in body}
        if "type_id" in about:
            _check_type(about["type_id"])
        self._change(caller, name, about)

    def invite(self, caller: str, name: str, user: str, users: set[str]) -> None:
        """Makes a user a member. Raises FileNotFoundError for an unknown user."""
        if user not in users and self._documents.find(_user(checked_name(user))) is None:
            raise FileNotFoundError(f"User {user}")
        self._change(caller, name, {}, member=user)

    def create_user(self, body: Document) -> Document:
        """A name that can be a member. It can do nothing without an API key, which only the operator creates."""
        name = _name(body, "username")
        found = {"id": str(uuid4()), "username": name, "email": body.get("email"), "fullname": name}
        taken = self._documents.find(_organization(name)) is not None
        if taken or not self._documents.create(_user(name), found):
            raise ConflictError("create user", name, got="the name is taken")
        return {**found, "resource_type": "user", "self_link": f"/v1/users/{name}"}

    def _change(self, caller: str, name: str, about: Document, member: str | None = None) -> None:
        self.get(name)

        def changed(found: Document) -> Document:
            if caller not in found["members"]:
                got = f"{caller} is not a member"
                raise RequestError("change organization", name, status=403, got=got)
            members = found["members"]
            return {**found, **about, "members": members if member in (None, *members) else [*members, member]}

        self._documents.change(_organization(name), changed)


def _name(body: Document, field: str) -> str:
    name = body.get(field)
    if not isinstance(name, str):
        raise RequestError("read", field, got=type(name).__name__, expected="a name")
    return checked_name(name)


def _check_type(type_id: Any) -> None:
    known = {kind["id"]: kind["name"] for kind in TYPES}
    if type_id not in known:
        raise RequestError("read type_id", got=repr(type_id)[:100], expected=f"one of {known}")


def _shown(found: Document) -> Document:
    shown = {key: value for key, value in found.items() if key != "members"}
    return {**shown, "resource_type": "organization", "self_link": f"/v1/organizations/{found['org_name']}"}


def _organization(name: str) -> str:
    return f"algorithmia/organizations/{name}.json"


def _user(name: str) -> str:
    return f"algorithmia/users/{name}.json"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
