from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sailplane.serving
from sailplane.bundles.bundle import Bundle
from sailplane.errors import ConfigurationError, ModelError
from sailplane.serving import SeldonModel
from sailplane.serving.scorer import RequestLimits
from sailplane.serving.seldon import errors as seldon_errors
from tests.unit.bundles import tiny
from tests.unit.serving.background_load import ask
from tests.unit.serving.test_server import modules_of


@pytest.fixture
def model(bundle: Bundle) -> SeldonModel:
    model = SeldonModel(bundle.folder.as_uri())
    model.load()
    return model


@pytest.mark.parametrize(
    "message",
    [
        {"jsonData": tiny.RECORD, "meta": {"puid": "a", "tags": {"b": 1}, "requestPath": {"before": "image:1"}}},
        {"data": {"tensor": {"shape": [1, 6], "values": list(tiny.RECORD.values())}}, "meta": {"puid": "a"}},
        {"jsonData": {**tiny.RECORD, "distance": "far"}},
        [],
    ],
)
def test_a_reply_is_the_model_servers_to_the_last_bit(model: SeldonModel, bundle: Bundle, message: Any) -> None:
    assert model.predict_raw(message) == ask(bundle, "POST", "/predict", message).json()


def test_tags_that_are_too_deep_to_send_back_are_a_400(model: SeldonModel) -> None:
    tags: dict[str, Any] = {}
    for _ in range(400):
        tags = {"a": tags}
    failure = model.predict_raw({"jsonData": tiny.RECORD, "meta": {"tags": tags}})
    assert failure["status"]["code"] == 400
    assert "meta.tags" in failure["status"]["info"]


def test_features_that_raise_are_a_500_without_their_words(tmp_path: Path) -> None:
    features = tiny.FEATURES.replace("    numbers =", '    if (frame["carrier"] == "XX").any(): 1 / 0\n    numbers =')
    model = SeldonModel(str(tiny.bundle(tmp_path / "bundle", features=features).folder))
    model.load()
    failure = model.predict_raw({"jsonData": {**tiny.RECORD, "carrier": "XX"}})
    assert failure["status"]["code"] == 500
    assert "zero" not in failure["error"]
    assert "data" in model.predict_raw({"jsonData": tiny.RECORD})


def test_metadata_and_health_are_plain_json(model: SeldonModel, bundle: Bundle) -> None:
    metadata = model.init_metadata()
    assert metadata == json.loads(json.dumps(metadata))
    assert metadata["versions"] == [bundle.version]
    assert model.health_status_raw() == {"model": "flights", "version": bundle.version, "status": "ok"}


@pytest.mark.parametrize("raises", ["frame.nothing", "raise NotImplementedError"])
def test_what_the_server_would_take_for_a_class_without_load_is_a_model_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raises: str
) -> None:
    features = tiny.FEATURES.replace("    numbers =", f'    if "BREAK" in os.environ: {raises}\n    numbers =')
    bundle = tiny.bundle(tmp_path / "bundle", features=f"import os{features}")
    model = SeldonModel(str(bundle.folder))
    monkeypatch.setenv("BREAK", "1")
    with pytest.raises(ModelError, match=r"AttributeError|NotImplementedError"):
        model.load()


def test_what_is_no_bundle_is_refused_when_the_server_starts(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing/manifest.json: No such file"):
        SeldonModel((tmp_path / "nothing").as_uri())
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(ConfigurationError, match="scheme 'gs'"):
        SeldonModel("gs://bucket/model")


def test_without_a_parameter_it_is_what_seldon_mounted() -> None:
    with pytest.raises(ModelError, match=r"/mnt/models/manifest.json"):
        SeldonModel()


def test_the_package_stays_light_and_has_nothing_else(bundle: Bundle) -> None:
    assert not {"pandas", "onnxruntime", "obstore", "orjson", "sqlalchemy"} & modules_of("sailplane.serving")
    heavy = {"torch", "airflow", "sqlalchemy", "starlette", "uvicorn", "flask"}
    assert not heavy & modules_of("sailplane.serving.seldon.model")
    with pytest.raises(AttributeError, match="SeldonModels"):
        _ = sailplane.serving.SeldonModels


def test_both_servers_have_the_same_limit() -> None:
    assert RequestLimits().body == seldon_errors.MAX_BODY_BYTES


def test_a_copy_goes_with_the_process_and_not_with_one_that_is_forked_from_it(tmp_path: Path) -> None:
    script = f"""
import os, sys
from pathlib import Path
from sailplane.serving.seldon.model import _at_exit_of_process as at_exit
kept = Path({str(tmp_path / "kept")!r})
kept.touch()
at_exit(kept.unlink)
if not os.fork():
    sys.exit(0)
os.wait()
print(kept.exists())
"""
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ended.stdout.split() == ["True"]
    assert not (tmp_path / "kept").exists()
