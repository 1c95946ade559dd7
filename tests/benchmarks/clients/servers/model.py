"""The same model for every server: the meaning of a request, and its scores. BUNDLE is a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sailplane.bundles.bundle import Bundle
from sailplane.bundles.columns import read
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.seldon import messages as seldon

bundle = Bundle.open(Path(os.environ["BUNDLE"]))
bundle.check()
manifest, inputs = bundle.manifest, bundle.manifest.inputs


def answer(message: Any) -> dict[str, Any]:
    scores = bundle.predict_values(read(seldon.columns(message, inputs), inputs))
    return {"data": {"names": list(manifest.outputs), "ndarray": scores.tolist()}}


def answer_v2(message: Any) -> list[float]:
    return bundle.predict_values(read(open_inference.columns(message, inputs), inputs)).ravel().tolist()
