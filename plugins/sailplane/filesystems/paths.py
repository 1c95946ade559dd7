"""`data://` and `hf://` for universal-pathlib."""

from __future__ import annotations

from upath._flavour import WrappedFileSystemFlavour
from upath.implementations.cloud import CloudPath

from sailplane.storage.filesystem import DataFileSystem, HubFileSystem


class DataPath(CloudPath):
    __slots__ = ()
    # By default the scheme's name would select the flavour for data URLs, which have no separator.
    parser = WrappedFileSystemFlavour(DataFileSystem, netloc_is_anchor=True)


class HubPath(CloudPath):
    __slots__ = ()
    parser = WrappedFileSystemFlavour(HubFileSystem, netloc_is_anchor=True)
