"""Objects by URI, on any backend: `file://`, `s3://`, `data://` (Algorithmia) and `hf://`."""

from __future__ import annotations

from sailplane.storage.access import Access, CredentialProvider
from sailplane.storage.backend import Backend, Content, Entry, Folder
from sailplane.storage.store import Storage
from sailplane.storage.transfer import Progress

__all__ = ["Access", "Backend", "Content", "CredentialProvider", "Entry", "Folder", "Progress", "Storage"]
