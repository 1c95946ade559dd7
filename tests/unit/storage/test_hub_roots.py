from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sailplane.errors import AccessError, ConfigurationError
from sailplane.storage.access import Access
from sailplane.storage.hub import HubBackend, bucket_backend, open_backend
from sailplane.storage.hub_repository import parsed
from sailplane.storage.roots import Root
from sailplane.storage.s3 import S3Backend

BUCKET = Root.parse("hf://buckets/someone/things/deep")
PAIR = {"HF_S3_ACCESS_KEY_ID": "HFAK1", "HF_S3_SECRET_ACCESS_KEY": "s3cret"}


class Gateway(ThreadingHTTPServer):
    """A gateway with one object. It records each request's line and Authorization."""

    asked: list[tuple[str, str]]


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.server.asked.append((self.requestline, self.headers.get("Authorization", "")))
        # An object of three bytes, for any requested range.
        self.send_response(206)
        self.send_header("Content-Range", "bytes 0-2/3")
        for name, value in (
            ("ETag", '"1"'),
            ("Last-Modified", "Sun, 22 Nov 2026 07:00:00 GMT"),
            ("Content-Length", "3"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"one")

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the client's output is the test's."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bucket_is_an_s3_bucket_under_its_owner_with_a_key_pair(gateway):
    endpoint = f"http://127.0.0.1:{gateway.server_address[1]}/someone"
    store = open_backend(BUCKET, lambda: Access(endpoint=endpoint, key="HFAK1", secret="s3cret"))
    assert store.get("a b/%") == b"one"
    ((line, signed),) = gateway.asked
    assert line == "GET /someone/things/deep/a%20b/%25 HTTP/1.1"
    assert re.match(r"AWS4-HMAC-SHA256 Credential=HFAK1/\d{8}/us-east-1/s3/aws4_request, ", signed)


def test_a_bucket_without_an_access_takes_the_key_pair_of_the_environment():
    assert isinstance(bucket_backend(BUCKET, env=PAIR), S3Backend)
    for name in PAIR:
        with pytest.raises(AccessError, match="Generate S3 credentials from a token") as refused:
            bucket_backend(BUCKET, env={name: PAIR[name]})
        assert PAIR[name] not in str(refused.value)


def test_a_repository_has_a_kind_a_name_a_revision_and_a_folder():
    place = parsed("hf://models/someone/net@x%2Fy/a b/%20")
    assert (place.type, place.id, place.revision, place.path_in_repo) == ("model", "someone/net", "x/y", "a b/%20")
    assert parsed("hf://datasets/someone/things").revision is None
    assert parsed("hf://datasets/someone/things@refs/pr/3/a").revision == "refs/pr/3"
    assert isinstance(open_backend(Root.parse("hf://datasets/someone/things@v1")), HubBackend)


@pytest.mark.parametrize(
    "root",
    [
        "hf://someone/net",
        "hf://spaces/someone/app",
        "hf://models/net",
        "hf://models/someone/net@",
        "hf://models/some one/net",
        "hf://models/someone/net/../other",
        "hf://datasets/someone/a--b",
        "hf://buckets/someone",
        "hf://buckets/someone/things@v1",
    ],
)
def test_a_root_that_is_no_place_on_the_hub_is_refused(root):
    with pytest.raises(ConfigurationError) as refused:
        open_backend(Root.parse(root))
    assert "\n" not in str(refused.value)
