"""A message in the field of a form, as `curl -F json=...` sends it and Seldon's own server takes it.

https://www.rfc-editor.org/rfc/rfc7578
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from sailplane.errors import RequestError
from sailplane.serving.json_body import parsed

_URLENCODED: Final = b"application/x-www-form-urlencoded"
_WHOLE: Final = "json"
# In Seldon's protocol. Each may also be a field of its own.
_PARTS: Final = ("meta", "data", "jsonData", "request", "response", "truth", "reward")
_REMEDY: Final = "Send the whole message in the field json."
# A body has been bounded before it comes here.
_LIMITS: Final[dict[str, Any]] = {"MAX_MEMORY_FILE_SIZE": 2**30, "MAX_FIELD_SIZE": 2**30, "MAX_BODY_SIZE": 2**30}


def is_form(headers: Mapping[bytes, bytes], body: bytes | bytearray) -> bool:
    """`curl -d` says that its body is a form whatever it is, so there the body itself tells."""
    kind = headers.get(b"content-type", b"")
    if not kind or kind == b"application/json":
        return False
    kind = kind.lower()
    urlencoded = kind.startswith(_URLENCODED) and body.startswith(b"json=")
    return urlencoded or kind.startswith(b"multipart/form-data")


def message_of_form(headers: Mapping[bytes, bytes], body: bytes | bytearray) -> bytes:
    """The JSON of the field `json`, or of one field for each part of a message. Raises RequestError for a form that is
    broken, or has other fields."""
    fields = _fields(headers[b"content-type"], bytes(body))
    if unknown := [name for name in fields if name not in (_WHOLE, *_PARTS)]:
        expected = f"json, or {', '.join(_PARTS)}"
        raise RequestError("read form", got=f"field {unknown[0][:60]!r}, no JSON", expected=expected, remedy=_REMEDY)
    if _WHOLE in fields or not fields:
        return fields.get(_WHOLE, b"")
    for value in fields.values():
        parsed(value)
    return b"{%s}" % b",".join(orjson.dumps(name) + b":" + value for name, value in fields.items())


def _fields(content_type: bytes, body: bytes) -> dict[str, bytes]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import Field, File, FormParser, parse_options_header

    kind, options = parse_options_header(content_type)
    if kind == _URLENCODED:
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        return {name: value.encode() for name, value in pairs}
    fields: dict[str, bytes] = {}

    def on_field(field: Field) -> None:
        fields[_name(field.field_name)] = field.value or b""

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        fields[_name(file.field_name)] = file.file_object.read()

    try:
        boundary = options.get(b"boundary")
        parser = FormParser(kind.decode("latin-1"), on_field, on_file, boundary=boundary, config=_LIMITS)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise RequestError("read form", got=f"no valid form, so no JSON: {error}", remedy=_REMEDY) from error
    return fields


def _name(given: bytes | None) -> str:
    return (given or b"").decode(errors="replace")
