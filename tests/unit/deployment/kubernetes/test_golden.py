"""A bundle that does not serve is refused before anything is created on a cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from sailplane.bundles.bundle import Bundle
from sailplane.deployment.kubernetes.golden import check_servable
from sailplane.errors import ConfigurationError, ModelError
from sailplane.records import Model
from tests.unit.bundles import tiny


def model(bundle: Bundle, uri: str) -> Model:
    made = {"version": bundle.version, "digest": bundle.digest, "run": "r", "dataset": "d", "as_of": tiny.AS_OF}
    return Model(name="flights", uri=uri, **made)  # type: ignore[arg-type]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny.bundle(tmp_path / "bundle")


def test_a_bundle_in_a_folder_of_this_machine_is_refused_with_the_remedy(bundle: Bundle) -> None:
    def opened(_version: str) -> AbstractContextManager[Bundle]:
        raise AssertionError("nothing is fetched")

    with pytest.raises(ConfigurationError, match="SAILPLANE_STORE to s3://"):
        check_servable(model(bundle, "file:///home/ada/store"), opened)


def test_a_damaged_bundle_is_refused(bundle: Bundle) -> None:
    check_servable(model(bundle, "s3://lake/one"), lambda _version: nullcontext(bundle))
    graph = bundle.folder / "model.onnx"
    graph.chmod(0o600)
    graph.write_bytes(graph.read_bytes()[:100])
    with pytest.raises(ModelError):
        check_servable(model(bundle, "s3://lake/one"), lambda _version: nullcontext(Bundle.open(bundle.folder)))
