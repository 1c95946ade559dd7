"""Storage as an fsspec filesystem, over folders: `s3://bucket/...` is in `<tmp>/bucket/...`."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.spec import AbstractFileSystem

from sailplane.errors import ConfigurationError, StorageError
from sailplane.storage import Storage
from sailplane.storage.filesystem import DataFileSystem, HubFileSystem, S3FileSystem

ODD = ["a b.txt", "a?.txt", "a#b.txt", "a%20b.txt", "a*.txt", "a[1].txt", "ä.txt"]


class Broken(Exception):
    pass


def test_a_folder_lists_its_files_and_folders_alone(filled: S3FileSystem) -> None:
    assert filled.ls("s3://bucket", detail=False) == ["bucket/a.txt", "bucket/d"]
    assert [about["type"] for about in filled.ls("bucket/d")] == ["file", "directory"]
    assert filled.ls("bucket/a.txt", detail=False) == ["bucket/a.txt"]
    assert filled.ls("empty") == []
    with pytest.raises(FileNotFoundError, match="nowhere"):
        filled.ls("bucket/nowhere")


def test_info_says_what_an_object_is(filled: S3FileSystem) -> None:
    about = filled.info("s3://bucket/d/b.txt")
    assert (about["name"], about["size"], about["type"]) == ("bucket/d/b.txt", 7, "file")
    assert about["modified"] == filled.modified("bucket/d/b.txt") == filled.created("bucket/d/b.txt")
    assert filled.info("bucket/d")["type"] == "directory"
    assert (filled.size("bucket/a.txt"), filled.du("bucket")) == (5, 21)
    with pytest.raises(FileNotFoundError):
        filled.info("bucket/d/nothing")


def test_existence_is_of_files_and_of_folders(filled: S3FileSystem) -> None:
    assert filled.exists("bucket/a.txt")
    assert filled.exists("bucket/d")
    assert not filled.exists("bucket/x")
    assert (filled.isfile("bucket/d"), filled.isdir("bucket/d")) == (False, True)
    assert (filled.isfile("bucket/x"), filled.isdir("bucket/x")) == (False, False)


def test_a_store_that_fails_is_never_taken_for_an_absent_file() -> None:
    def fail(uri: str) -> Storage:
        raise StorageError("open", uri, got="it is away")

    fs = S3FileSystem(fail)
    for ask in (fs.exists, fs.isfile, fs.isdir):
        with pytest.raises(StorageError, match="it is away"):
            ask("bucket/a.txt")


def test_find_lists_what_is_below(filled: S3FileSystem) -> None:
    assert filled.find("bucket") == ["bucket/a.txt", "bucket/d/b.txt", "bucket/d/e/c.txt"]
    assert filled.find("bucket", maxdepth=1) == ["bucket/a.txt"]
    assert filled.find("bucket", maxdepth=2, withdirs=True) == [
        "bucket", "bucket/a.txt", "bucket/d", "bucket/d/b.txt", "bucket/d/e",
    ]  # fmt: skip
    assert filled.find("bucket/d", detail=True)["bucket/d/e/c.txt"]["size"] == 9
    assert filled.find("bucket/a.txt") == ["bucket/a.txt"]
    assert filled.find("bucket/nowhere") == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("bucket/*", ["bucket/a.txt", "bucket/d"]),
        ("bucket/*.txt", ["bucket/a.txt"]),
        ("bucket/*/*.txt", ["bucket/d/b.txt"]),
        ("bucket/**/*.txt", ["bucket/a.txt", "bucket/d/b.txt", "bucket/d/e/c.txt"]),
        ("bucket/d/[bx].t?t", ["bucket/d/b.txt"]),
        ("bucket/*.csv", []),
    ],
)
def test_globs_find_what_they_name(filled: S3FileSystem, pattern: str, found: list[str]) -> None:
    assert filled.glob(f"s3://{pattern}") == found


def test_a_glob_lists_once(filled: S3FileSystem, place: Callable[[str], Storage]) -> None:
    listed = []

    class Counted(Storage):
        def entries(self, prefix: str = "") -> Any:
            listed.append(prefix)
            return super().entries(prefix)

    fs = S3FileSystem(lambda uri: Counted(place(uri).root))
    assert len(fs.glob("bucket/**/*.txt")) == 3
    assert listed == [""]


def test_a_look_at_one_folder_lists_nothing_below_it(filled: S3FileSystem, place: Callable[[str], Storage]) -> None:
    class Shallow(Storage):
        def entries(self, prefix: str = "") -> Any:
            raise AssertionError(f"lists all that is below {prefix!r}")

    fs = S3FileSystem(lambda uri: Shallow(place(uri).root))
    assert fs.ls("bucket", detail=False) == ["bucket/a.txt", "bucket/d"]
    assert fs.glob("bucket/*.txt") == fs.find("bucket", maxdepth=1) == ["bucket/a.txt"]
    assert [folder for folder, _, _ in fs.walk("bucket")] == ["bucket", "bucket/d", "bucket/d/e"]


def test_walk_goes_down(filled: S3FileSystem) -> None:
    assert list(filled.walk("bucket")) == [
        ("bucket", ["d"], ["a.txt"]), ("bucket/d", ["e"], ["b.txt"]), ("bucket/d/e", [], ["c.txt"]),
    ]  # fmt: skip


def test_copies_and_moves(filled: S3FileSystem) -> None:
    filled.copy("s3://bucket/a.txt", "s3://other/x.txt")
    filled.mv("bucket/a.txt", "bucket/moved.txt")
    filled.cp("bucket/d", "other/d", recursive=True)
    assert filled.find("other") == ["other/d/b.txt", "other/d/e/c.txt", "other/x.txt"]
    assert filled.find("bucket", maxdepth=1) == ["bucket/moved.txt"]
    assert filled.cat_file("other/x.txt") == filled.cat_file("bucket/moved.txt") == b"a.txt"
    with pytest.raises(FileNotFoundError):
        filled.copy("bucket/nothing", "bucket/y")


def test_files_go_to_this_machine_and_come_from_it(filled: S3FileSystem, tmp_path: Path) -> None:
    filled.get("bucket/d", str(tmp_path / "here"), recursive=True)
    assert (tmp_path / "here/e/c.txt").read_bytes() == b"d/e/c.txt"
    filled.put(str(tmp_path / "here"), "bucket/back", recursive=True)
    assert filled.find("bucket/back") == ["bucket/back/b.txt", "bucket/back/e/c.txt"]


def test_removal_is_of_what_was_named(filled: S3FileSystem) -> None:
    with pytest.raises(IsADirectoryError, match="s3://bucket/d"):
        filled.rm("bucket/d")
    with pytest.raises(FileNotFoundError):
        filled.rm("bucket/nothing")
    filled.rm(["bucket/a.txt"])
    assert filled.find("bucket") == ["bucket/d/b.txt", "bucket/d/e/c.txt"]
    filled.rm("bucket/d", recursive=True)
    assert filled.find("bucket") == []
    filled.pipe_file("bucket/x/y", b"")
    filled.rm("bucket", recursive=True)
    assert filled.find("bucket") == []


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_names(fs: S3FileSystem, name: str) -> None:
    beside = ["bucket/axx.txt", "bucket/ax.txt", "bucket/a1.txt"]
    for path in beside:
        fs.pipe_file(path, b"beside")
    fs.pipe_file(f"s3://bucket/{name}", name.encode())
    assert fs.cat_file(f"bucket/{name}") == name.encode()
    assert f"bucket/{name}" in fs.ls("bucket", detail=False)
    fs.mv(f"bucket/{name}", "bucket/moved")
    fs.mv("bucket/moved", f"bucket/into/{name}")
    assert fs.cat_file(f"bucket/into/{name}") == name.encode()
    fs.copy(f"bucket/into/{name}", f"bucket/{name}")
    fs.rm(f"bucket/{name}")
    assert fs.find("bucket", maxdepth=1) == sorted(beside)


def test_a_pattern_that_no_object_is_named_by_removes_what_it_matches(filled: S3FileSystem) -> None:
    filled.rm("bucket/d/*.txt")
    assert filled.find("bucket") == ["bucket/a.txt", "bucket/d/e/c.txt"]


@pytest.mark.usefixtures("named")
def test_pandas_reads_and_writes_by_uri(fs: S3FileSystem) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]})
    for name in ("f.csv", "f?.csv", "f.csv.gz"):
        frame.to_csv(f"s3://bucket/{name}", index=False)
        assert pd.read_csv(f"s3://bucket/{name}").equals(frame)
    # Without options pandas uses pyarrow's own filesystem for an s3:// URI with Parquet.
    frame.to_parquet("s3://bucket/f.parquet", storage_options={})
    assert pd.read_parquet("s3://bucket/f.parquet", storage_options={}).equals(frame)
    frame.to_parquet("bucket/g.parquet", filesystem=fs)
    assert pd.read_parquet("bucket/g.parquet", filesystem=fs, columns=["a"]).columns.tolist() == ["a"]
    with pytest.raises(ConfigurationError, match="storage option 'key'; expected none"):
        pd.read_csv("s3://bucket/f.csv", storage_options={"key": "k", "secret": "hidden"})


@pytest.mark.slow
@pytest.mark.usefixtures("named")
def test_pandas_leaves_no_half_of_a_frame(fs: S3FileSystem) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise Broken

    frame = pd.DataFrame({"a": [*range(200_000), Unprintable()]}, dtype=object)
    with pytest.raises(Broken):
        frame.to_csv("s3://bucket/f.csv")
    assert fs.find("bucket") == []


def test_pyarrow_takes_it_as_a_filesystem(fs: S3FileSystem) -> None:
    table = pa.table({"a": [1, 2, 3], "day": ["x", "x", "y"]})
    pq.write_table(table, "bucket/f.parquet", filesystem=fs)
    assert pq.read_table("bucket/f.parquet", filesystem=fs).equals(table)
    pq.write_to_dataset(table, "bucket/set", partition_cols=["day"], filesystem=fs)
    assert sorted(pq.read_table("bucket/set", filesystem=fs)["a"].to_pylist()) == [1, 2, 3]


def test_the_rest_of_fsspecs_verbs(fs: AbstractFileSystem) -> None:
    fs.mkdir("bucket/d")
    fs.makedirs("bucket/d/e", exist_ok=True)
    fs.rmdir("bucket/d")
    fs.touch("bucket/empty")
    assert fs.info("bucket/empty")["size"] == 0
    assert fs.checksum("bucket/empty").startswith("e3b0c442")
    with pytest.raises(StorageError, match="sign a URL"):
        fs.sign("bucket/empty")


def test_what_names_no_store_is_refused_and_no_secret_is_shown() -> None:
    for fs, path in ((S3FileSystem(), ""), (DataFileSystem(), "ada"), (HubFileSystem(), "datasets/ada")):
        with pytest.raises(ConfigurationError, match="no store; expected"):
            fs.ls(path)
    for path in ("key:hidden@ada", "key:hid/den@ada/c/x"):
        with pytest.raises(ConfigurationError) as raised:
            DataFileSystem().ls(path)
        assert "hid" not in str(raised.value)


def test_it_goes_to_another_process() -> None:
    assert isinstance(pickle.loads(pickle.dumps(S3FileSystem())), S3FileSystem)  # noqa: S301  our own
