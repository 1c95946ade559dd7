"""Which paths an object may have: those that every backend can hold, and that cannot leave the store's root."""

from __future__ import annotations

import re
from typing import Final

from sailplane.errors import ConfigurationError

# S3's own limit for a key; the root's prefix counts.
MOST_BYTES: Final = 1024
# A file name has 255 bytes, of which some go to the name that an unfinished upload has.
MOST_SEGMENT_BYTES: Final = 240


def checked(path: str, prefix: str = "") -> str:
    """`path`, which may hold spaces, `? # %` and any other character that is no control character or backslash.

    Raises ConfigurationError for a path that is empty, leads elsewhere, or that some backend could not hold.
    """
    if wrong := _wrong(path, prefix):
        raise ConfigurationError("use path", repr(path[:100]), got=wrong[0], expected=wrong[1])
    return path


def _wrong(path: str, prefix: str) -> tuple[str, str] | None:
    segments = path.split("/")
    if not path or "" in segments:
        return "an empty part", "parts with one / between them, none before or after"
    if "." in segments or ".." in segments:
        return "a part that is . or ..", "a path under the root"
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        return "a control character or a backslash", "parts with / between them"
    if any(re.search(r"#\d+$", segment) for segment in segments):
        return "a part that ends in # and a number", "another name: it stands for an unfinished upload"
    return _too_long(path, segments, prefix)


def _too_long(path: str, segments: list[str], prefix: str) -> tuple[str, str] | None:
    try:
        size = len(f"{prefix}/{path}".encode()) - (0 if prefix else 1)
        longest = max(len(segment.encode()) for segment in segments)
    except UnicodeEncodeError:
        return "a lone surrogate", "text that UTF-8 can hold"
    if size > MOST_BYTES:
        return f"{size} bytes", f"at most {MOST_BYTES}, with the store's own prefix"
    if longest > MOST_SEGMENT_BYTES:
        return f"a part of {longest} bytes", f"at most {MOST_SEGMENT_BYTES} bytes between two /"
    return None
