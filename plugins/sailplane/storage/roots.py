"""The root URI of a store: its backend and the location there.

    file:///folder                                       a folder on this machine
    s3://bucket[/prefix]                                 S3, or a compatible service
    data://user/collection[/folder]                      an Algorithmia Data API; `.my` is the owner of the key
    hf://models|datasets/owner/name[@revision][/folder]  a repository of the Hugging Face Hub
    hf://buckets/owner/name[/prefix]                     a Storage Bucket there, through its S3 gateway

`s3://connection@bucket` names an Airflow connection, which is not part of the objects' URIs.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sailplane.errors import ConfigurationError
from sailplane.storage.access import CredentialProvider, find
from sailplane.storage.backend import Backend

# The form of a root, the part that an invalid one lacks, and the expected text.
_FORMS: Final = {
    "file": (r"file:///.*", "absolute path", "file:///folder"),
    "s3": (r"s3://[^/]+(/.*)?", "bucket", "s3://bucket[/prefix]"),
    "data": (r"data://[^/]+/[^/]+(/.*)?", "collection", "data://user/collection[/folder]"),
    "hf": (
        r"hf://(models|datasets|buckets)/[^/]+/[^/]+(/.*)?",
        "repository",
        "hf://models/owner/name[@revision][/folder], or datasets or buckets",
    ),
}
SCHEMES: Final = tuple(_FORMS)
# The module of each scheme's backend, with `open_backend(root, access)`. It is imported when a store is opened, because
# each has its own client, and by name, because a higher room also has a backend.
_BACKENDS: Final = {
    "file": "sailplane.storage.local",
    "s3": "sailplane.storage.s3",
    "data": "sailplane.algorithmia.store",
    "hf": "sailplane.storage.hub",
}
# The default Airflow connections, for URIs without one.
DEFAULTS: Final = {"s3": "aws_default", "data": "algorithmia_default", "hf": "huggingface_default"}
# Replaces the root of the project's store in URIs that stay valid when the store is moved.
RELATIVE: Final = "store://"


@dataclass(frozen=True, kw_only=True)
class Root:
    """`uri`: without the connection. `host`: a bucket, a user or a kind of repository. `prefix`: the rest."""

    uri: str
    scheme: str
    host: str
    prefix: str
    connection: str | None

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Raises ConfigurationError."""
        scheme, separator, rest = uri.partition("://")
        # Hide the part before an @, which may be a secret.
        shown = f"...@{uri.rpartition('@')[2]}" if "@" in uri else uri
        if not separator or scheme not in SCHEMES or not rest.strip("/"):
            expected = " or ".join(f"{name}://..." for name in SCHEMES)
            got = f"scheme {scheme!r}" if separator and scheme not in SCHEMES else "no root"
            raise ConfigurationError("open storage", shown, got=got, expected=expected)
        if scheme != "file" and ":" in rest.partition("/")[0]:
            remedy = "Put a key and its secret into an Airflow connection, and write its name before the @."
            raise ConfigurationError("open storage", shown, got="a colon before the first /", remedy=remedy)
        connection, at, location = rest.partition("@")
        if not at or "/" in connection:
            connection, location = "", rest
        host, _, prefix = location.rstrip("/").partition("/")
        whole = f"{scheme}://{location.rstrip('/')}"
        form, lacks, expected = _FORMS[scheme]
        if not re.fullmatch(form, whole, re.DOTALL):
            raise ConfigurationError("open storage", shown, got=f"no {lacks}", expected=expected)
        return cls(uri=whole, scheme=scheme, host=host, prefix=prefix, connection=connection or None)

    def open(self, access: CredentialProvider | None = None) -> Backend:
        """`access`: the store's credentials; by default this process's file or the environment."""
        module = importlib.import_module(_BACKENDS[self.scheme])
        backend: Backend = module.open_backend(self, access or find(self.uri))
        return backend


def local_folder(uri: str) -> Path:
    """The folder of a file URI."""
    return Path(url2pathname(urlsplit(uri).path))


def is_absent(root: Root) -> bool:
    """True if the root is a folder that does not exist. To open it would create it."""
    return root.scheme == "file" and not local_folder(root.uri).exists()


def canonical(uri: str) -> str:
    """A canonical text, equal for two URIs of one folder, such as one through a symbolic link."""
    root = Root.parse(uri)
    return local_folder(root.uri).resolve().as_uri() if root.scheme == "file" else root.uri
