from __future__ import annotations

import pytest

from sailplane.algorithmia.twin.paths import TwinPath, connected, decoded, parsed
from sailplane.errors import ConfigurationError, RequestError


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", None),
        (".my", TwinPath("alice")),
        (".my/", TwinPath("alice")),
        ("bob/c", TwinPath("bob", ("c",))),
        ("data://.my/c/d/", TwinPath("alice", ("c", "d"))),
        (".my/c/a b?#%41", TwinPath("alice", ("c", "a b?#%41"))),
    ],
)
def test_a_path_names_a_directory_and_my_is_the_caller(text: str, path: TwinPath | None) -> None:
    assert parsed(text, "alice") == path


@pytest.mark.parametrize(
    "path", ["a//b", ".my/..", "../x", ".my/./x", "/x", ".my/a\nb", "a\\b", ".my/" + "x" * 241, ".my//"]
)
def test_what_the_store_cannot_hold_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="use path"):
        parsed(path, "alice")


@pytest.mark.parametrize("path", [".session/x", ".algo/x", "ä/x"])
def test_what_is_no_user_is_refused(path: str) -> None:
    with pytest.raises(RequestError, match="an invalid user"):
        parsed(path, "alice")


@pytest.mark.parametrize("path", ["s3://bucket/key", "s3+label://bucket/key", "dropbox://x"])
def test_another_connector_is_refused_with_what_there_is(path: str) -> None:
    with pytest.raises(RequestError, match="expected data://user/collection/file"):
        parsed(path, "alice")


def test_the_connector_of_a_path_is_data() -> None:
    assert connected("data/.my/c") == ".my/c"
    with pytest.raises(RequestError, match="'s3'"):
        connected("s3/bucket/key")


def test_a_path_is_decoded_once_and_is_utf8() -> None:
    assert decoded(b"/v1/data/%2541%20%C3%BC") == "/v1/data/%41 ü"
    with pytest.raises(RequestError, match="UTF-8"):
        decoded(b"/v1/data/%ff")


def test_no_file_lies_where_a_directory_may() -> None:
    """Otherwise a store that keeps empty folders could not hold a file with a deleted directory's name."""
    directory, file = TwinPath("a", ("c", "d")), TwinPath("a", ("c", "d"))
    assert not directory.folder.startswith(file.key)
    assert not directory.files.startswith(file.key)
