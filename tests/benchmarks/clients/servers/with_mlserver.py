"""A runtime of MLServer: `mlserver start FOLDER`, where FOLDER has a model-settings.json that names this runtime."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Model(MLModel):
    async def load(self) -> bool:
        from model import answer_v2

        self._answer = answer_v2
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        message = {"inputs": [{**tensor.model_dump(), "data": list(tensor.data)} for tensor in payload.inputs]}
        scores = self._answer(message)
        output = ResponseOutput(name="probability", shape=[len(scores), 1], datatype="FP32", data=scores)
        return InferenceResponse(model_name=self.name, outputs=[output])
