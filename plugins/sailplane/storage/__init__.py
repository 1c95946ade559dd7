"""Objects by URI, on any backend: `file://`, `s3://`, `data://` (Algorithmia) and `hf://`."""

from __future__ import annotations

from sailplane.storage.access import Access, CredentialProvider
from sailplane.storage.backend import Backend, Content, Folder, ObjectInfo
from sailplane.storage.store import Storage
from sailplane.storage.transfer import TransferProgress

__all__ = ["Access", "Backend", "Content", "CredentialProvider", "Folder", "ObjectInfo", "Storage", "TransferProgress"]
