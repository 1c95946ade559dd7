"""The format of a file, by its suffix."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import pandas as pd
import pyarrow as pa

from sailplane.datasets.read_csv import csv_frames
from sailplane.datasets.read_json import json_frames
from sailplane.datasets.read_parquet import parquet_frames
from sailplane.datasets.text import blocks
from sailplane.datasets.unreadable import broken
from sailplane.errors import ConfigurationError, DataError, StorageError
from sailplane.records import Field

if TYPE_CHECKING:
    from sailplane.storage.store import Storage

Frames = Callable[[str, Iterator[bytes], Sequence[Field]], Iterator[pd.DataFrame]]
TEXT: Final[dict[str, Frames]] = {
    ".csv": partial(csv_frames, delimiter=","),
    ".tsv": partial(csv_frames, delimiter="\t"),
    ".jsonl": json_frames,
    ".ndjson": json_frames,
    ".json": json_frames,
}
CODECS: Final = {".gz": "gzip", ".zst": "zstd"}
EXPECTED: Final = f".parquet, or {', '.join(TEXT)}, which may be followed by {' or '.join(CODECS)}"


def check_suffix(pattern: str) -> None:
    """Raises ConfigurationError for a pattern that cannot match a file of a known format."""
    name = pattern.rpartition("/")[2]
    end = re.split(r"[*?\]}]", name)[-1]
    # After `part*` or `*.gz`, the format depends on each file's own name.
    is_known = end == name or ("." in end and end.lower() not in CODECS)
    if is_known and _reader(end) is None:
        raise ConfigurationError("read the pattern of files", pattern, got=f"the suffix of {name!r}", expected=EXPECTED)


def frames(storage: Storage, path: str, columns: Sequence[Field]) -> Iterator[pd.DataFrame]:
    """The file's rows in frames, with `columns` only. Raises DataError, naming the file, if it cannot be read."""
    uri = storage.uri(path)
    read = _reader(path)
    if read is None:
        remedy = "End the pattern with the suffix of the data files, like *.csv."
        raise DataError("read", uri, got="an unknown suffix", expected=EXPECTED, remedy=remedy)
    try:
        yield from read(uri, storage.stream(path), columns)
    except FileNotFoundError as error:
        got, remedy = "it was deleted after it was listed", "Run again when the files no longer change."
        raise StorageError("read", uri, got=got, remedy=remedy) from error
    except (pa.ArrowException, OSError, UnicodeError, csv.Error) as error:
        raise broken(uri, error) from error


def _reader(path: str) -> Frames | None:
    name = path.lower()
    if name.endswith(".parquet"):
        return parquet_frames
    codec = next((codec for suffix, codec in CODECS.items() if name.endswith(suffix)), None)
    plain = name.rpartition(".")[0] if codec else name
    text = next((read for suffix, read in TEXT.items() if plain.endswith(suffix)), None)
    return partial(_unpacked, text, codec) if text else None


def _unpacked(
    read: Frames, codec: str | None, uri: str, pieces: Iterator[bytes], columns: Sequence[Field]
) -> Iterator[pd.DataFrame]:
    return read(uri, blocks(uri, pieces, codec), columns)
