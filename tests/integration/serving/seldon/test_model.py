"""SeldonModel in its image's environment: bundles from every store, and Seldon's own messages."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sailplane.storage import Access, Storage
from tests.hub_server import TOKEN
from tests.integration.serving.seldon_server import settings
from tests.integration.storage.hub_places import FAST, OFF, WARNED, opened, served
from tests.integration.storage.twin import twin_server
from tests.s3 import s3_server
from tests.unit.bundles import tiny

pytestmark = pytest.mark.needs("python3.11")
RECORD = {"jsonData": tiny.RECORD, "meta": {"puid": "a"}}
FROM_ANYWHERE = f"""
import json, sys
from sailplane.serving import SeldonModel
for uri in sys.argv[1:]:
    model = SeldonModel(uri)
    model.load()
    print(json.dumps(model.predict_raw({RECORD})))
"""
MESSAGES = """
import json, sys
from google.protobuf.json_format import MessageToDict, ParseDict
from seldon_core.metrics import SeldonMetrics
from seldon_core.proto.prediction_pb2 import SeldonMessage
from seldon_core.seldon_methods import predict
from sailplane.serving import SeldonModel
model = SeldonModel(sys.argv[1])
model.load()
metrics = SeldonMetrics()
for message in json.loads(sys.argv[2]):
    print(json.dumps(MessageToDict(predict(model, ParseDict(message, SeldonMessage()), metrics))))
"""


FEEDBACK = """
import json, logging, sys
from google.protobuf.json_format import MessageToDict, ParseDict
from seldon_core.metrics import SeldonMetrics
from seldon_core.proto.prediction_pb2 import Feedback
from seldon_core.seldon_methods import send_feedback
from sailplane.serving import SeldonModel
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
model = SeldonModel(sys.argv[1])
for message in json.loads(sys.argv[2]):
    print(json.dumps(MessageToDict(send_feedback(model, ParseDict(message, Feedback()), "model", SeldonMetrics()))))
"""


def ran(python: Path, script: str, *arguments: str, **env: str) -> list[Any]:
    """Returns the lines that the program printed."""
    command = [python, "-c", script, *arguments]
    ended = subprocess.run(command, env=settings(**env), capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.filterwarnings(WARNED)
def test_a_bundle_is_the_same_from_every_store(
    seldon_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    places = ["s3://sailplane/models/flights", "data://ada/models/flights", "hf://models/someone/flights"]
    for folder in ("twin", "copies"):
        (tmp_path / folder).mkdir()
    with s3_server(tmp_path / "s3") as s3, twin_server(tmp_path / "twin") as twin, served(monkeypatch) as hub:
        Storage("s3://sailplane", lambda: s3.access).upload(bundle.folder, "models/flights")
        access = Access(endpoint=twin.url, secret=twin.key)
        Storage("data://ada/models", lambda: access).upload(bundle.folder, "flights")
        repository = opened(hub, places[-1], TOKEN, FAST)
        for file in bundle.folder.iterdir():
            repository.put(file.name, file.read_bytes())
        env = {
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_ACCESS_KEY_ID": str(s3.access.key),
            "AWS_SECRET_ACCESS_KEY": str(s3.access.secret),
            "AWS_DEFAULT_REGION": str(s3.access.region),
            **{"ALGORITHMIA_API": twin.url, "ALGORITHMIA_API_KEY": twin.key},
            **{"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf"), **OFF},
        }
        uris = [str(bundle.folder), bundle.folder.as_uri(), *places]
        replies = ran(seldon_python, FROM_ANYWHERE, *uris, TMPDIR=str(tmp_path / "copies"), **env)
    assert len(replies) == 5
    assert all(reply["data"] == replies[0]["data"] for reply in replies)
    assert all(reply["meta"]["requestPath"] == {"flights": bundle.version} for reply in replies)
    # The copies were removed with the process.
    assert list((tmp_path / "copies").iterdir()) == []


def test_seldons_own_messages_get_one_back_good_or_bad(seldon_python: Path, tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    names, row = list(tiny.RECORD), list(tiny.RECORD.values())
    messages = [RECORD, {"data": {"names": names, "ndarray": [row]}}, {"jsonData": {**tiny.RECORD, "distance": "far"}}]
    good, rows, bad = ran(seldon_python, MESSAGES, str(bundle.folder), json.dumps(messages))
    assert (good["meta"]["puid"], good["data"]["names"]) == ("a", ["late"])
    assert good["data"]["ndarray"] == rows["data"]["ndarray"]
    assert (bad["status"]["code"], bad["status"]["status"]) == (400, "FAILURE")
    assert "field 'distance' of row 0" in bad["status"]["info"]


def test_nan_in_a_message_is_a_null(seldon_python: Path, tmp_path: Path) -> None:
    """Our own server treats NaN in the same way."""
    bundle = tiny.bundle(tmp_path / "bundle")
    without, no_wind = {**tiny.RECORD, "wind": None}, {**tiny.RECORD, "wind": math.nan}
    messages = [
        {"data": {"names": list(record), "ndarray": [list(record.values())]}, "meta": {"tags": {"a": tag}}}
        for record, tag in ((without, None), (no_wind, math.inf), ({**tiny.RECORD, "distance": math.nan}, None))
    ]
    expected, given, refused = ran(seldon_python, MESSAGES, str(bundle.folder), json.dumps(messages))
    assert given["data"] == expected["data"]
    assert refused["status"]["code"] == 400
    assert "field 'distance' of row 0" in refused["status"]["info"]


def test_feedback_is_logged_whatever_numbers_it_holds(seldon_python: Path, tmp_path: Path) -> None:
    bundle = tiny.bundle(tmp_path / "bundle")
    fed_back = {"response": {"meta": {"puid": "a"}}, "reward": 0.9, "truth": {"data": {"ndarray": [[math.nan, 1]]}}}
    command = [seldon_python, "-c", FEEDBACK, str(bundle.folder), json.dumps([fed_back])]
    process = subprocess.run(command, env=settings(), capture_output=True, text=True, timeout=120)
    logged = '{"puid":"a","reward":0.9,"truth":{"data":{"ndarray":[[null,1.0]]}}}'
    assert f"feedback {logged}" in process.stdout, process.stderr
    assert json.loads(process.stdout.splitlines()[-1])["meta"]["puid"] == "a"


def test_three_limits_are_passed_over_and_no_other(seldon_python: Path) -> None:
    command = [seldon_python, "-m", "pip", "--disable-pip-version-check", "check"]
    told = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    assert sorted((line.split()[0], line.split()[4].split("<")[0].split(">")[0]) for line in told) == [
        ("huggingface-hub", "click"),
        ("onnxruntime", "protobuf"),
        ("seldon-core", "numpy"),
    ]
