from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sailplane.errors import ConfigurationError, DataError
from sailplane.storage import Storage
from sailplane.storage.roots import Root


@pytest.fixture
def storage(tmp_path):
    return Storage((tmp_path / "store").as_uri())


def test_what_was_put_is_got_and_listed(storage):
    storage.put("a/b.txt", b"one")
    storage.put("a/b.txt", b"two")
    assert storage.get("a/b.txt") == b"two"
    assert storage.list("a") == ["a/b.txt"]
    assert storage.exists("a/b.txt")
    storage.delete("a/b.txt")
    assert not storage.exists("a/b.txt")


def test_an_object_that_is_not_there_is_a_file_not_found_error(storage):
    with pytest.raises(FileNotFoundError):
        storage.get("nothing")


def test_of_many_writers_that_create_one_object_one_wins_and_its_bytes_stay(storage):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: storage.put_new("once", b"%d" % n), range(8)))
    assert won.count(True) == 1
    assert storage.get("once") == b"%d" % won.index(True)


def test_a_folder_goes_up_and_comes_down_again(storage, tmp_path):
    source = tmp_path / "bundle"
    (source / "deep").mkdir(parents=True)
    (source / "manifest.json").write_bytes(b"{}")
    (source / "deep" / "weights").write_bytes(b"\x00\x01")
    storage.upload(source, "models/m/1")
    storage.download("models/m/1", tmp_path / "copy")
    assert (tmp_path / "copy" / "deep" / "weights").read_bytes() == b"\x00\x01"
    with pytest.raises(FileNotFoundError, match="models/m/2"):
        storage.download("models/m/2", tmp_path / "other")


def test_a_uri_and_its_path_are_inverse_and_foreign_uris_are_refused(storage):
    assert storage.path(storage.uri("a/b")) == "a/b"
    with pytest.raises(ConfigurationError, match="outside the store"):
        storage.path("file:///etc/passwd")


def test_a_scheme_that_is_not_built_yet_is_refused():
    with pytest.raises(ConfigurationError, match="scheme 'ftp'; expected file"):
        Storage("ftp://host/x")


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("file://relative", "no absolute path; expected file:///folder"),
        ("data://user", "no collection; expected data://user/collection"),
        ("data://lake@user/", "no collection"),
        ("hf://name", "no repository; expected hf://models/owner/name"),
        ("hf://models/name", "no repository"),
        ("hf://spaces/owner/name", "no repository"),
        ("s3:///prefix", "no bucket; expected s3://bucket"),
        ("s3:/bucket", "no root"),
        ("/folder", "no root"),
    ],
)
def test_a_root_that_lacks_a_part_is_refused_before_anything_is_opened(root, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Root.parse(root)


@pytest.mark.parametrize("content", [b"", b'{"a": [1,', b"\xff", b'{"b": 1}', b"[]", b"3", b'{"a": 3}'])
def test_a_damaged_object_is_an_error_that_names_it_and_the_remedy(storage, content):
    storage.put("models/m/model.json", content)
    with pytest.raises(DataError, match=r"models/m/model\.json: it is damaged: .*; expected .*\. Train it again\."):
        storage.read_json("models/m/model.json", lambda found: found["a"].items(), "Train it again.")


def test_json_is_read_as_what_it_stands_for_and_what_is_not_there_is_not_damaged(storage):
    storage.put("a.json", b'{"a": 3}')
    assert storage.read_json("a.json", lambda found: found["a"]) == 3
    with pytest.raises(FileNotFoundError):
        storage.read_json("b.json", dict)


def test_text_that_is_none_is_damaged(storage):
    storage.put("report.html", "kühn".encode()[:2])
    with pytest.raises(DataError, match=r"report\.html: it is damaged: .*; expected text in UTF-8"):
        storage.read_text("report.html")


def test_what_was_cut_short_is_kept_again(storage):
    storage.keep("code/1.zip", b"whole")
    storage.put("code/1.zip", b"who")
    storage.keep("code/1.zip", b"whole")
    assert storage.get("code/1.zip") == b"whole"
