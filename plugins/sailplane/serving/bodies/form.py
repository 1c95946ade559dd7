"""A message in a form field, as `curl -F json=...` sends it and Seldon's own server accepts it.

https://www.rfc-editor.org/rfc/rfc7578
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
import orjson

from sailplane.errors import RequestError
from sailplane.serving.bodies.json_pieces import located

_URLENCODED: Final = b"application/x-www-form-urlencoded"
_WHOLE: Final = "json"
# The members of a message in Seldon's protocol. Each may also be a separate form field.
_PARTS: Final = ("meta", "data", "jsonData", "request", "response", "truth", "reward")
_FIELDS: Final = (_WHOLE, *_PARTS)
_LONGEST_NAME: Final = 60
# Bytes unquoted at a time.
_PIECE: Final = 16 * 2**10
_REMEDY: Final = "Send the whole message in the field json."
# The body's size is already checked.
_LIMITS: Final[dict[str, Any]] = {"MAX_MEMORY_FILE_SIZE": 2**30, "MAX_FIELD_SIZE": 2**30, "MAX_BODY_SIZE": 2**30}


def is_form(headers: Mapping[bytes, bytes], body: bytes | bytearray) -> bool:
    """`curl -d` labels every body as a form, so its content decides."""
    kind = headers.get(b"content-type", b"")
    if not kind or kind == b"application/json":
        return False
    kind = kind.lower()
    urlencoded = kind.startswith(_URLENCODED) and body.startswith(b"json=")
    return urlencoded or kind.startswith(b"multipart/form-data")


def message_of_form(headers: Mapping[bytes, bytes], body: bytes | bytearray) -> bytes:
    """The JSON of the field `json`, or of one field for each part of a message. Raises RequestError for a broken form,
    an unknown field or a repeated field."""
    kind, options = _kind(headers[b"content-type"])
    text = bytes(body)
    fields = _urlencoded(text) if kind == _URLENCODED else _multipart(kind, options.get(b"boundary"), text)
    if _WHOLE in fields or not fields:
        return fields.get(_WHOLE, b"")
    for value in fields.values():
        located(value, msgspec.Raw)
    return b"{%s}" % b",".join(orjson.dumps(name) + b":" + value for name, value in fields.items())


def _kind(content_type: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    from python_multipart.multipart import parse_options_header

    return parse_options_header(content_type)


def _urlencoded(body: bytes) -> dict[str, bytes]:
    fields: dict[str, bytes] = {}
    for pair in body.split(b"&", len(_FIELDS)):
        name, _, value = pair.partition(b"=")
        if pair:
            _add(fields, unquote_to_bytes(name[:_LONGEST_NAME]), _unquoted(value))
    return fields


def _unquoted(text: bytes) -> bytes:
    """Unquotes in pieces, because `unquote_to_bytes` takes eighty times the memory of its text. No piece ends within an
    escape."""
    text, found, offset = text.replace(b"+", b" "), bytearray(), 0
    while offset < len(text):
        end = offset + _PIECE
        cut = text.rfind(b"%", end - 2, end)
        end = cut if cut > 0 else end
        found += unquote_to_bytes(text[offset:end])
        offset = end
    return bytes(found)


def _multipart(kind: bytes, boundary: bytes | None, body: bytes) -> dict[str, bytes]:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import Field, File, FormParser

    fields: dict[str, bytes] = {}

    def on_field(field: Field) -> None:
        _add(fields, field.field_name, field.value or b"")

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        _add(fields, file.field_name, file.file_object.read())

    try:
        parser = FormParser(kind.decode("latin-1"), on_field, on_file, boundary=boundary, config=_LIMITS)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise RequestError("read form", got=f"not a valid form, so no JSON: {error}", remedy=_REMEDY) from error
    return fields


def _add(fields: dict[str, bytes], given: bytes | None, value: bytes) -> None:
    """Refuses a bad field as soon as it is read, so that thousands of fields cost nothing."""
    name = (given or b"")[:_LONGEST_NAME].decode(errors="replace")
    if name not in _FIELDS:
        expected = f"json, or {', '.join(_PARTS)}"
        raise RequestError("read form", got=f"field {name!r}, not JSON", expected=expected, remedy=_REMEDY)
    if name in fields:
        raise RequestError(
            "read form", got=f"field {name!r} twice, so no JSON", expected="each field once", remedy=_REMEDY
        )
    fields[name] = value
