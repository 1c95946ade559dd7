"""Patterns of a day's files: a URI with the day in it, like

    s3://bucket/sales/{data_interval_start:%Y-%m-%d}/*.csv

`{data_interval_start}` and `{data_interval_end}` are the midnights (UTC) at which the day starts and ends, each with a
format of strftime. Between two / the globs `*`, `?`, `[...]` and `[!...]` are allowed; `**` is any number of folders.
As in a shell, a glob at the start of a name does not match a leading `.`, nor a leading `_` as in `_SUCCESS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from urllib.parse import unquote

from sailplane.errors import ConfigurationError
from sailplane.storage.roots import SCHEMES

NAMES: Final = ("data_interval_start", "data_interval_end")
EXAMPLE: Final = "s3://bucket/sales/{data_interval_start:%Y-%m-%d}/*.csv"
_PLACEHOLDER: Final = re.compile(r"\{(?P<name>[^{}:]*)(?::(?P<format>[^{}]*))?\}")
_GLOB: Final = re.compile(r"(?P<many>\*+)|(?P<one>\?)|\[(?P<but>!?)(?P<set>\]?[^\]]*)\]|.", re.DOTALL)
# A glob matches no path segment that starts with these.
_SEEN: Final = r"(?![._])"


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A pattern in two parts: `root` is the URI of the folder before the first placeholder or glob, `rest` is the
    remainder."""

    root: str
    rest: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a pattern. For file:// the text is a URI: `%20` is a space, as in the root. Raises ConfigurationError
        for a malformed pattern."""
        _check_scheme(text)
        _check_placeholders(text)
        special = re.search(r"[{*?\[]", text)
        root = text[: special.start() if special else None].rpartition("/")[0]
        if not re.search(r"://.*[^/]", root):
            raise _wrong(text, "no folder before the first placeholder or glob", f"a folder, as in {EXAMPLE}")
        rest = text[len(root) + 1 :]
        if "" in rest.split("/"):
            got = "it ends with /" if rest.endswith("/") else "an empty name between two /"
            raise _wrong(text, got, f"the names of files, as in {EXAMPLE}")
        pattern = cls(root=root, rest=_unquoted(rest) if text.startswith("file:") else rest)
        _check_globs(text, pattern.on(datetime(2000, 1, 1, tzinfo=UTC)))
        return pattern

    def on(self, day: datetime) -> str:
        """The path of that day's files under the root; globs remain."""
        times = dict(zip(NAMES, (day, day + timedelta(days=1)), strict=True))
        return _PLACEHOLDER.sub(lambda found: format(times[found["name"]], found["format"]), self.rest)


def has_glob(path: str) -> bool:
    return bool(re.search(r"[*?\[]", path))


def folder(path: str) -> str:
    """The folders before the first glob, or "" for the root: the listing starts here."""
    return re.split(r"[*?\[]", path, maxsplit=1)[0].rpartition("/")[0]


def matcher(path: str) -> re.Pattern[str]:
    """Its `fullmatch` tests whether `path` matches an object's path."""
    *folders, name = path.split("/")
    before = "".join(f"(?:{_SEEN}[^/]+/)*" if part == "**" else f"{_segment(part)}/" for part in folders)
    last = f"(?:{_SEEN}[^/]+/)*{_SEEN}[^/]+" if name == "**" else _segment(name)
    return re.compile(before + last, re.DOTALL)


def _segment(part: str) -> str:
    return (_SEEN if part[:1] in ("*", "?", "[") else "") + _GLOB.sub(_translated, part)


def _translated(found: re.Match[str]) -> str:
    if found["many"]:
        return "[^/]*"
    if found["one"]:
        return "[^/]"
    if found["set"]:
        # In a set, only `-` and a leading `]` mean the same as in a regular expression.
        inside = re.sub(r"([\\\[^&|~])", r"\\\1", found["set"])
        return f"(?!/)[^{inside}]" if found["but"] else f"[{inside}]"
    return re.escape(found[0])


def _check_scheme(text: str) -> None:
    # The rest of the text may hold a secret, so errors show it only after these checks.
    scheme, separator, rest = text.partition("://")
    schemes = " or ".join(f"{name}://" for name in SCHEMES)
    if not separator or scheme not in SCHEMES:
        got = f"scheme {scheme!r}" if separator else "no scheme"
        raise ConfigurationError("read the pattern of files", got=got, expected=f"{schemes}, as in {EXAMPLE}")
    if re.match(r"[^@{]*:[^@{]*@", rest):
        raise ConfigurationError(
            "read the pattern of files",
            got=f"{scheme}:// with a user and a secret before the @",
            expected=f"at most the name of a connection, as in {scheme}://connection@...",
            remedy="Move the secret to the connection and rotate it: DAGs must not hold secrets.",
        )
    if scheme == "file" and not rest.startswith("/"):
        raise _wrong(text, "a relative path", "file:/// and an absolute path")


def _check_placeholders(text: str) -> None:
    for found in _PLACEHOLDER.finditer(text):
        if found["name"] not in NAMES or "%" not in (found["format"] or ""):
            allowed = " or ".join(f"{{{name}:%Y-%m-%d}}" for name in NAMES)
            raise _wrong(text, f"the placeholder {found[0]}", f"{allowed}, with any format of strftime")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        raise _wrong(text, "a brace outside of a placeholder", "single, closed braces: Jinja is not supported here")


def _check_globs(text: str, path: str) -> None:
    try:
        matcher(path)
    except re.error as error:
        raise _wrong(text, f"an invalid range in brackets ({error})", "a range like [0-9]") from error


def _unquoted(rest: str) -> str:
    """The text without the escapes of a URI; in a placeholder % belongs to strftime and stays."""
    return re.sub(r"\{[^{}]*\}|[^{}]+", lambda part: part[0] if part[0][0] == "{" else unquote(part[0]), rest)


def _wrong(text: str, got: str, expected: str) -> ConfigurationError:
    return ConfigurationError("read the pattern of files", text, got=got, expected=expected)
