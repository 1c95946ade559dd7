"""The Data API as Algorithmia's official client sees it."""

from __future__ import annotations

import base64
import json

import pytest

from sailplane.algorithmia.twin.paths import TwinPath
from tests.integration.algorithmia.twin.conftest import RunningTwin

HOSTILE = ["a b.csv", "ünï☃.csv", "100%.csv", "a+b&c=d.csv", "%41", "'\"<>|*:", ".directory", ".files", "a" * 240]


def test_directories_and_files_are_made_read_listed_and_deleted(twin: RunningTwin) -> None:
    out = twin.client(
        twin.key("alice"),
        """
folder = client.dir("data://.my/flights")
out = [folder.exists()]
folder.create()
client.dir("data://.my/flights/raw").create()
folder.file("note.txt").put("hello")
client.file("data://.my/flights/table.json").putJson({"rows": [1, 2]})
out += [folder.exists(), sorted(f.path for f in folder.files()), [d.path for d in folder.dirs()]]
out += [client.file("data://alice/flights/note.txt").getString(), folder.file("table.json").getJson()]
note = next(f for f in folder.files() if f.getName() == "note.txt")
out += [note.size, note.last_modified.year > 2000, note.delete(), note.exists(), client.username()]
""",
    )
    paths = [".my/flights/note.txt", ".my/flights/table.json"]
    listed = [paths, [".my/flights/raw"]]
    assert out == [False, True, *listed, "hello", {"rows": [1, 2]}, 5, True, True, False, "alice"]


def test_a_binary_file_comes_back_byte_for_byte(twin: RunningTwin) -> None:
    out = twin.client(
        twin.key("alice"),
        """
import base64, os, tempfile
client.dir("data://.my/binary").create()
with tempfile.NamedTemporaryFile() as f:
    f.write(bytes(range(256)) * 100_000)
    f.flush()
    client.file("data://.my/binary/large").putFile(f.name)
client.file("data://.my/binary/small").put(b"\\x00\\xff\\r\\n")
client.file("data://.my/binary/empty").put(b"")
large = client.file("data://.my/binary/large").getBytes()
out = [large == bytes(range(256)) * 100_000, base64.b64encode(client.file("data://.my/binary/small").getBytes()).decode(),
       client.file("data://.my/binary/empty").getBytes().decode()]
""",
    )
    assert out[0]
    assert base64.b64decode(out[1]) == b"\x00\xff\r\n"
    assert out[2] == ""


def test_a_directory_of_more_than_a_thousand_files_is_listed_page_by_page(twin: RunningTwin) -> None:
    key = twin.key("alice")
    twin.client(key, 'client.dir("data://.my/many").create(); client.dir("data://.my/many/below").create()')
    storage = twin.storage()
    for number in range(1050):
        storage.put(TwinPath("alice", ("many", f"{number}.txt")).key, b"")
    with twin.http(key) as http:
        first = http.get("/v1/data/.my/many").json()
        assert len(first["files"]) + len(first["folders"]) == 1000
        assert http.get("/v1/data/.my/many", params={"marker": "no marker"}).status_code == 400
    files, folders = twin.client(
        key,
        'd = client.dir("data://.my/many"); out = [[f.getName() for f in d.files()], [f.getName() for f in d.dirs()]]',
    )
    assert sorted(files) == sorted(f"{number}.txt" for number in range(1050))
    assert folders == ["below"]


def test_a_directory_that_is_not_empty_is_deleted_with_force_alone(twin: RunningTwin) -> None:
    out = twin.client(
        twin.key("alice"),
        """
from Algorithmia.errors import DataApiError
folder = client.dir("data://.my/full")
folder.create()
client.dir("data://.my/full/below").create()
client.file("data://.my/full/below/one").put("1")
out = []
try:
    folder.delete()
except DataApiError as error:
    out.append(str(error))
out += [client.file("data://.my/full/below/one").getString(), folder.delete(force=True), folder.exists()]
out += [client.file("data://.my/full/below/one").exists(), client.dir("data://.my/full/below").exists()]
folder.create()
client.file("data://.my/full/below").put("a file where a directory was")
out.append(client.file("data://.my/full/below").getString())
""",
    )
    assert "it is not empty" in out[0]
    assert out[1:] == ["1", True, False, False, False, "a file where a directory was"]


def test_a_deletion_that_a_crash_left_half_done_is_ended_by_the_next_one(twin: RunningTwin) -> None:
    before = "2020-01-01T00:00:00+00:00"
    with twin.http(twin.key("alice")) as http:
        http.post("/v1/data/.my", json={"name": "c"})
        http.post("/v1/data/.my/c", json={"name": "d"})
        http.put("/v1/data/.my/c/d/file", content=b"1")
        record = json.dumps({"created": before, "read": None, "deleting": before}).encode()
        twin.storage().put("algorithmia/directories/alice/c/d/.directory", record)
        assert http.get("/v1/data/.my/c/d").status_code == 404
        assert http.put("/v1/data/.my/c/d/other", content=b"1").status_code == 404
        assert http.delete("/v1/data/.my/c/d", params={"force": "true"}).json() == {"result": {"deleted": 1}}
        assert http.post("/v1/data/.my/c", json={"name": "d"}).is_success
        assert http.get("/v1/data/.my/c/d").json() == {}


def test_what_another_user_may_read_is_what_the_acl_says(twin: RunningTwin) -> None:
    alice, bob = twin.key("alice"), twin.key("bob")
    made = """
from Algorithmia.acl import ReadAcl
out = []
acls = {"mine": ReadAcl.private, "algorithms": ReadAcl.my_algos, "default": None, "open": ReadAcl.public}
for name, acl in acls.items():
    folder = client.dir("data://.my/" + name)
    folder.create(acl)
    client.dir("data://.my/" + name + "/below").create()
    client.file("data://.my/" + name + "/below/file").put("words")
    out.append(folder.get_permissions().read_acl.pseudonym)
"""
    seen = """
from Algorithmia.errors import DataApiError
def attempt(what):
    try:
        return what()
    except DataApiError as error:
        return "authorized" if "not authorized" in str(error) else "other: " + str(error)
out = {}
for name in ("mine", "algorithms", "default", "open", "never"):
    folder, file = client.dir("data://alice/" + name), client.file("data://alice/" + name + "/below/file")
    out[name] = [folder.exists(), file.exists(), attempt(file.getString), attempt(lambda: len(list(folder.dirs())))]
"""
    assert twin.client(alice, made) == ["private", "my_algos", "my_algos", "public"]
    out = twin.client(bob, seen)
    for name in ("mine", "algorithms", "default", "never"):
        assert out[name] == [False, False, "authorized", "authorized"]
    assert out["open"] == [True, True, "words", 1]
    with twin.http(bob) as http:
        refused = [
            http.put("/v1/data/alice/open/below/file", content=b"mine now"),
            http.post("/v1/data/alice/open", json={"name": "new"}),
            http.patch("/v1/data/alice/open", json={"acl": {"read": []}}),
            http.delete("/v1/data/alice/open", params={"force": "true"}),
        ]
    assert [answer.status_code for answer in refused] == [403] * 4
    twin.client(
        alice, 'from Algorithmia.acl import ReadAcl; client.dir("data://.my/open").update_permissions(ReadAcl.private)'
    )
    assert twin.client(bob, seen)["open"] == [False, False, "authorized", "authorized"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_hostile_to_paths_is_a_name_like_any_other(twin: RunningTwin, name: str) -> None:
    key = twin.key("alice")
    with twin.http(key) as http:
        assert http.post("/v1/data/.my", json={"name": "names"}).is_success
        path = "/v1/data/.my/names/" + "".join(f"%{byte:02x}" for byte in name.encode())
        assert http.put(path, content=name.encode()).json() == {"result": f"data://alice/names/{name}"}
        assert http.get(path).content == name.encode()
        assert [file["filename"] for file in http.get("/v1/data/.my/names").json()["files"]] == [name]
    listed = twin.client(key, 'out = [f.getName() for f in client.dir("data://.my/names").files()]')
    assert listed == [name]


@pytest.mark.parametrize(
    "path", ["..", "a/../../x", "a//b", ".", "a%0ab", "a%00b", "a%5cb", "a%ffb", "b" * 241, "c/" * 520 + "c"]
)
def test_a_path_that_the_store_refuses_is_a_bad_request_with_the_reason(twin: RunningTwin, path: str) -> None:
    with twin.http(twin.key("alice")) as http:
        http.post("/v1/data/.my", json={"name": "names"})
        request = http.build_request("PUT", "/v1/data/.my/names/x", content=b"1")
        request.url = request.url.copy_with(raw_path=f"/v1/data/.my/names/{path}".replace("..", "%2e%2e").encode())
        answer = http.send(request)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].isprintable()
    assert answer.headers["X-Error-Message"]
    assert not [path for path in twin.storage().list("algorithmia") if not path.endswith(".directory")]


def test_both_forms_of_a_path_name_one_file_and_other_connectors_say_what_there_is(twin: RunningTwin) -> None:
    with twin.http(twin.key("alice")) as http:
        http.post("/v1/connector/data/.my", json={"name": "forms"})
        assert http.put("/v1/connector/data/.my/forms/x", content=b"1").is_success
        answer = http.get("/v1/data/alice/forms/x")
        assert (answer.content, answer.headers["X-Data-Type"]) == (b"1", "file")
        assert http.get("/v1/data/alice/forms").headers["X-Data-Type"] == "directory"
        for path in ("/v1/data/s3://bucket/key", "/v1/data/s3+label://bucket/key", "/v1/connector/dropbox/a/b"):
            refused = http.get(path)
            assert refused.status_code == 400
            assert "expected data://user/collection/file" in refused.json()["error"]["message"]


def test_of_two_writers_with_a_condition_one_wins(twin: RunningTwin) -> None:
    with twin.http(twin.key("alice")) as http:
        http.post("/v1/data/.my", json={"name": "c"})
        first = http.put("/v1/data/.my/c/x", content=b"1", headers={"If-None-Match": "*"})
        assert http.put("/v1/data/.my/c/x", content=b"2", headers={"If-None-Match": "*"}).status_code == 412
        old = {"If-Match": first.headers["ETag"]}
        assert http.put("/v1/data/.my/c/x", content=b"3", headers=old).is_success
        assert http.put("/v1/data/.my/c/x", content=b"4", headers=old).status_code == 412
        assert http.get("/v1/data/.my/c/x").content == b"3"
        assert http.get("/v1/data/.my/c/x").headers["ETag"] == http.head("/v1/data/.my/c/x").headers["ETag"]


def test_the_rest_of_a_file_is_read_of_one_version_alone(twin: RunningTwin) -> None:
    with twin.http(twin.key("alice")) as http:
        http.post("/v1/data/.my", json={"name": "c"})
        etag = http.put("/v1/data/.my/c/x", content=b"0123456789" * 1_000_000).headers["ETag"]
        rest = http.get("/v1/data/.my/c/x", headers={"Range": "bytes=9999995-", "If-Range": etag})
        assert (rest.status_code, rest.content) == (206, b"56789")
        assert rest.headers["Content-Range"] == "bytes 9999995-9999999/10000000"
        other = http.get("/v1/data/.my/c/x", headers={"Range": "bytes=9999995-", "If-Range": '"another"'})
        assert (other.status_code, len(other.content)) == (200, 10_000_000)
        assert http.get("/v1/data/.my/c/x", headers={"Range": "bytes=10000000-"}).status_code == 416
