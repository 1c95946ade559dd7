"""Requests to the Hugging Face Hub's replacement, and its answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Refused(Exception):
    """An HTTP status, with the Hub's X-Error-Message and X-Error-Code."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


def told(what: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Answer:
    return Answer(json.dumps(what).encode(), {"Content-Type": "application/json", **(headers or {})}, status)


def part(request: Request, content: bytes, headers: Mapping[str, str]) -> Answer:
    """Returns the part of the body that the Range names: `bytes=7-` is the only form that the clients need."""
    wanted = request.headers.get("Range")
    if not wanted:
        return Answer(content, {**headers, "Accept-Ranges": "bytes"})
    found = re.fullmatch(r"bytes=(\d+)-", wanted)
    if not found:
        raise Refused(501, f"Range {wanted}: unknown")
    start, size = int(found.group(1)), len(content)
    if start >= size:
        raise Refused(416, "Range not satisfiable")
    return Answer(content[start:], {**headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"}, 206)
