"""Files that are written and read through fsspec: the whole file is put, or nothing."""

from __future__ import annotations

import logging
from typing import Any

import fsspec
import pytest

from sailplane.errors import ConfigurationError
from sailplane.storage.filesystem import S3FileSystem


class Broken(Exception):
    pass


def test_files_are_read_and_written(fs: S3FileSystem) -> None:
    with fs.open("s3://bucket/a", "wb") as file:
        assert file.write(b"first") == 5
        file.seek(0)
        file.write(b"F")
        assert not fs.exists("bucket/a"), "it is put when it is closed"
    with fs.open("bucket/a", "rb") as file:
        file.seek(2)
        assert (file.read(2), file.tell()) == (b"rs", 4)
    assert fs.cat_file("bucket/a") == b"First"
    assert fs.cat_file("bucket/a", start=1, end=3) == b"ir"
    with pytest.raises(FileNotFoundError):
        fs.open("bucket/nothing")
    with pytest.raises(ConfigurationError, match="mode 'ab'; expected rb, wb or xb"):
        fs.open("bucket/a", "ab")


def test_a_file_that_is_to_be_new_replaces_nothing(fs: S3FileSystem) -> None:
    with fs.open("bucket/a", "xb") as file:
        file.write(b"mine")
    with pytest.raises(FileExistsError), fs.open("bucket/a", "xb") as file:
        file.write(b"yours")
    assert fs.cat_file("bucket/a") == b"mine"


def ours(fs: S3FileSystem, path: str, mode: str, **how: Any) -> Any:
    return fs.open(path, mode, **how)


def fsspecs(fs: S3FileSystem, path: str, mode: str, **how: Any) -> Any:
    return fsspec.core.OpenFile(fs, path, mode, **how)


@pytest.mark.parametrize("opened", [ours, fsspecs])
@pytest.mark.parametrize("how", [{}, {"compression": "gzip"}, {"compression": "xz"}])
@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_body_that_raises_puts_nothing(
    fs: S3FileSystem, opened: Any, how: Any, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    content: Any = "half" * 10_000 if mode == "w" else b"half" * 10_000
    with pytest.raises(Broken), opened(fs, "bucket/a", mode, **how) as file:  # noqa: PT012  it is the body's error
        file.write(content)
        raise Broken
    assert fs.find("bucket") == []
    assert "bucket/a was not written because of Broken" in caplog.text
    with opened(fs, "bucket/a", mode, **how) as file:
        file.write(content)
    with opened(fs, "bucket/a", mode.replace("w", "r"), **how) as file:
        assert file.read() == content
    assert (fs.size("bucket/a") < 1000) == bool(how)


def test_a_file_that_is_written_while_an_error_is_handled_is_put(
    fs: S3FileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        try:
            raise Broken
        except Broken:
            with fs.open("bucket/report", "w") as file:
                file.write("it broke")
    assert fs.cat_file("bucket/report") == b"it broke"
    assert caplog.text == ""


def test_the_compression_is_known_by_the_name(fs: S3FileSystem) -> None:
    with fs.open("bucket/a.csv.gz", "w", compression="infer") as file:
        file.write("a,b\n")
    assert fs.cat_file("bucket/a.csv.gz")[:2] == b"\x1f\x8b"
    with fs.open("bucket/a.csv.gz", "r", compression="infer") as file:
        assert file.read() == "a,b\n"


def test_text_has_the_encoding_and_line_ends_that_are_asked_for(fs: S3FileSystem) -> None:
    with fs.open("bucket/a", "w", encoding="latin-1", newline="\r\n") as file:
        file.write("ä\n")
    assert fs.cat_file("bucket/a") == b"\xe4\r\n"
    assert list(fs.open("bucket/a", "r", encoding="latin-1")) == ["ä\n"]
