"""Names, documents and dates in the Data API's format."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from sailplane.algorithmia.client.exchange import How
from sailplane.algorithmia.client.spool import Body
from sailplane.errors import StorageError
from sailplane.storage.backend import ObjectInfo


def uri_of(path: str) -> str:
    return f"data://{path}"


def url_path(path: str) -> str:
    """Characters with a meaning in URLs are escaped; `/` separates directories."""
    return f"/v1/data/{quote(path)}"


def above(path: str) -> str:
    return path.rpartition("/")[0]


def sent_json(value: Any) -> How:
    text = orjson.dumps(value)
    return {"body": Body(len(text), lambda: iter([text])), "headers": {"Content-Type": "application/json"}}


def document(what: str, answer: httpx.Response) -> dict[str, Any]:
    """The JSON of a response. Errors may have status 200."""
    try:
        values = orjson.loads(answer.content or b"{}")
    except orjson.JSONDecodeError as error:
        remedy = "Check that the endpoint is a Data API."
        raise StorageError(what, got="a response other than JSON", expected="JSON", remedy=remedy) from error
    if not isinstance(values, dict) or "error" in values:
        raise StorageError(what, got=str(values)[:300], expected="a result")
    return values


def entry(folder: str, values: Mapping[str, Any]) -> ObjectInfo:
    """An entry of a directory's listing. `etag` is the twin's addition; other servers get one from date and size."""
    etag = values.get("etag") or f'"{values["last_modified"]}-{values["size"]}"'
    modified = datetime.fromisoformat(values["last_modified"])
    return ObjectInfo(path=f"{folder}/{values['filename']}", size=values["size"], modified=modified, etag=etag)
