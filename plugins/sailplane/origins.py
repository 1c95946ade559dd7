"""Recognises requests by foreign web pages. A browser sends them from the user's own machine, so listening on loopback
does not keep them out.

The policy is the resource isolation policy of https://www.w3.org/TR/fetch-metadata/; checking the host prevents DNS
rebinding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from sailplane.errors import ConfigurationError

SETTING: Final = "SAILPLANE_ALLOWED_HOSTS"
LOCAL: Final = ("localhost", "127.0.0.1")
Headers = Iterable[tuple[bytes, bytes]]

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:/?#@\[\]]+)(:(?P<port>\d+))?")
_NAME: Final = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_PORTS: Final = {"http": "80", "https": "443"}
_OWN: Final = frozenset({"", "none", "same-origin"})


@dataclass(frozen=True)
class Origins:
    """The `hosts` by which a server may be called (`*.example.com` and `*` too), and the origins whose `pages` may call
    it, besides its own."""

    hosts: tuple[str, ...] = LOCAL
    pages: tuple[str, ...] = field(default=())

    @classmethod
    def read(cls, env: Mapping[str, str], pages: Sequence[str] = ()) -> Self:
        """Reads the setting. Raises ConfigurationError unless it is a list of host names."""
        return cls((*LOCAL, *added(env)), tuple(pages))

    def foreign_host(self, headers: Headers) -> str | None:
        """Why the request is refused, or None. DNS rebinding gives a foreign name this machine's address."""
        given = _values(headers, b"host")
        if len(given) == 1 and (host := _HOST.fullmatch(given[0].lower())) and self._answers_to(host["name"]):
            return None
        got = f"the host {given[0]!r}" if given and given[0] else "no host"
        return f"Refused: the request names {got}; expected {' or '.join(self.hosts)}. {SETTING} adds names."

    def foreign_page(self, method: str, headers: Headers) -> str | None:
        """Why the request is refused, or None. A link on a foreign page is followed if the answer fills a tab."""
        headers = list(headers)
        foreign = [page for page in _values(headers, b"origin") if not self._own(page, headers)]
        if foreign:
            return f"Refused: a page of the origin {foreign[0]!r} made this request. {SETTING} adds names of hosts."
        site = _only(headers, b"sec-fetch-site")
        if site in _OWN or (method in ("GET", "HEAD") and _is_link(headers)):
            return None
        return f"Refused: a page of another origin made this request (Sec-Fetch-Site: {site})."

    def _answers_to(self, name: str) -> bool:
        return any(host in ("*", name) or (host.startswith("*.") and name.endswith(host[1:])) for host in self.hosts)

    def _own(self, page: str, headers: Headers) -> bool:
        """The port counts: another server on localhost has another origin. The scheme does not, because a proxy may end
        TLS. A proxy may also replace the host; then the setting has to name it."""
        scheme, _, authority = page.lower().partition("://")
        if page in self.pages or scheme not in _PORTS:
            return page in self.pages
        own = _without_port(_only(headers, b"host"), _PORTS[scheme]) == _without_port(authority, _PORTS[scheme])
        return own or (authority not in LOCAL and "*" not in self.hosts and self._answers_to(authority))


def added(env: Mapping[str, str]) -> tuple[str, ...]:
    """The names in the setting. Raises ConfigurationError for anything else."""
    names = tuple(name.strip().lower() for name in env.get(SETTING, "").split(",") if name.strip())
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        expected = "names of hosts without ports, separated by commas"
        raise ConfigurationError("read", SETTING, got=repr(wrong[0]), expected=expected)
    return names


def _is_link(headers: Headers) -> bool:
    return _only(headers, b"sec-fetch-mode") == "navigate" and _only(headers, b"sec-fetch-dest") == "document"


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def _only(headers: Headers, name: bytes) -> str:
    return ",".join(_values(headers, name)).lower()


def _without_port(host: str, default: str) -> str:
    return host.removesuffix(f":{default}")
