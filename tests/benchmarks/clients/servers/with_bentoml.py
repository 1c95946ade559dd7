"""`bentoml serve with_bentoml:Model --port PORT`

One worker is its default, and what the others have; its log of requests is off.
https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html
"""

from __future__ import annotations

from typing import Any

import bentoml


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Model:
    def __init__(self) -> None:
        from model import answer

        self.answer = answer

    @bentoml.api
    def predict(self, message: dict[str, Any]) -> dict[str, Any]:
        return self.answer(message)
