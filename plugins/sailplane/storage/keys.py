"""Checks object paths: every backend can hold them, and they stay under the store's root."""

from __future__ import annotations

import re
from typing import Final

from sailplane.errors import ConfigurationError

# S3's limit for a key, including the root's prefix.
MOST_BYTES: Final = 1024
# A file name has at most 255 bytes; an unfinished upload needs some for its suffix.
MOST_SEGMENT_BYTES: Final = 240


def checked(path: str, prefix: str = "") -> str:
    """Returns `path`. It may hold spaces, `? # %` and all characters except control characters and backslashes.

    Raises ConfigurationError for a path that is empty, leaves the root, or is invalid in some backend.
    """
    if wrong := _wrong(path, prefix):
        raise ConfigurationError("use path", repr(path[:100]), got=wrong[0], expected=wrong[1])
    return path


def _wrong(path: str, prefix: str) -> tuple[str, str] | None:
    segments = path.split("/")
    if not path or "" in segments:
        return "an empty part", "parts separated by a single /, with none before or after"
    if "." in segments or ".." in segments:
        return "a part . or ..", "a path under the root"
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        return "a control character or a backslash", "parts separated by /"
    if any(re.search(r"#\d+$", segment) for segment in segments):
        return "a part that ends in # and a number", "another name; this one means an unfinished upload"
    return _too_long(path, segments, prefix)


def _too_long(path: str, segments: list[str], prefix: str) -> tuple[str, str] | None:
    try:
        size = len(f"{prefix}/{path}".encode()) - (0 if prefix else 1)
        longest = max(len(segment.encode()) for segment in segments)
    except UnicodeEncodeError:
        return "a lone surrogate", "text that UTF-8 can hold"
    if size > MOST_BYTES:
        return f"{size} bytes", f"at most {MOST_BYTES}, including the store's prefix"
    if longest > MOST_SEGMENT_BYTES:
        return f"a part of {longest} bytes", f"at most {MOST_SEGMENT_BYTES} bytes per part"
    return None
