"""`python bare.py PORT` runs only ASGI, orjson and onnxruntime: no checks, counts or batches. uvicorn uses uvloop and
httptools if they are installed, as here. https://www.uvicorn.org/settings/"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import uvicorn
from model import bundle, inputs, manifest

DTYPES = {"number": "float64", "integer": "int64", "string": "object", "boolean": "bool", "timestamp": "datetime64[us]"}
transform, state, session = bundle._features.transform, bundle._state, bundle._session


def array(values: tuple[Any, ...], kind: str) -> np.ndarray:
    if kind == "timestamp":
        return np.array([datetime.fromisoformat(value).replace(tzinfo=None) for value in values], DTYPES[kind])
    return np.array(values, DTYPES[kind])


async def app(_scope: Any, receive: Any, send: Any) -> None:
    data = orjson.loads((await receive())["body"])["data"]
    columns = dict(zip(data["names"], zip(*data["ndarray"], strict=True), strict=True))
    arrays = transform({field.name: array(columns[field.name], field.kind) for field in inputs}, state)
    [scores] = session.run(["probability"], arrays)
    answer = {"data": {"names": manifest.outputs, "ndarray": scores}}
    body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", access_log=False, log_level="warning")
