"""Hosts and pages that a server answers, and those it refuses."""

from __future__ import annotations

import pytest

from sailplane.errors import ConfigurationError
from sailplane.origins import Origins

NAMED = Origins.read({"SAILPLANE_ALLOWED_HOSTS": "ML.example, *.lan"}, ["https://app.example"])


def sent(**headers: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "ml.example", "a.lan:80", "a.b.lan"])
def test_hosts_that_are_named_are_answered(host: str) -> None:
    assert NAMED.foreign_host(sent(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "evil.example",
        "localhost.evil.example",
        "localhost:x",
        "lan",
        "xlan",
        "a@localhost",
        "[::1]",
        "localhost.",
    ],
)
def test_other_hosts_are_refused(host: str) -> None:
    assert "SAILPLANE_ALLOWED_HOSTS adds names" in (NAMED.foreign_host(sent(host=host)) or "")


def test_a_forwarded_host_counts_for_nothing() -> None:
    headers = sent(host="evil.example", x_forwarded_host="localhost", forwarded="host=localhost")
    assert NAMED.foreign_host(headers) is not None
    assert NAMED.foreign_page("POST", sent(host="localhost", origin="http://a.b", x_forwarded_host="a.b")) is not None


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert NAMED.foreign_host([]) is not None
    assert NAMED.foreign_host([(b"host", b"localhost"), (b"host", b"localhost")]) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:8080"},
        {"origin": "https://localhost:8080", "sec_fetch_site": "same-origin"},
        {"origin": "https://ml.example"},
        {"origin": "https://app.example"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"host": "ml.example", "origin": "https://ml.example:443"},
        {"host": "ml.example:80", "origin": "http://ml.example"},
    ],
)
def test_programs_and_pages_of_its_own_may_change_something(headers: dict[str, str]) -> None:
    assert NAMED.foreign_page("POST", sent(**{"host": "localhost:8080", **headers})) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", ""])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://localhost"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "file://"},
        {"origin": "https://ml.example:444"},
        {"origin": "https://app.example.evil.example"},
        {"origin": "https://evil.example", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
    ],
)
def test_pages_of_another_origin_are_refused(method: str, headers: dict[str, str]) -> None:
    assert NAMED.foreign_page(method, sent(host="localhost:8080", **headers)) is not None


def test_a_link_from_elsewhere_opens_a_page_and_submits_nothing() -> None:
    link = sent(host="localhost", sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document")
    assert NAMED.foreign_page("GET", link) is None
    assert NAMED.foreign_page("POST", link) is not None


@pytest.mark.parametrize("names", ["https://ml.example", "ml.example:443", "a b", '"', "*.", "a.*"])
def test_a_setting_that_names_no_host_is_refused(names: str) -> None:
    with pytest.raises(ConfigurationError, match="expected names of hosts without ports"):
        Origins.read({"SAILPLANE_ALLOWED_HOSTS": names})
