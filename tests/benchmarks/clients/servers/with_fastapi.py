"""`python with_fastapi.py PORT`

uvicorn takes uvloop and httptools where they are installed, as here; an async function runs in no thread of a pool.
https://www.uvicorn.org/settings/ and https://fastapi.tiangolo.com/async/
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from model import answer

app = FastAPI()


@app.post("/predict")
async def predict(message: dict[str, Any]) -> dict[str, Any]:
    return answer(message)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
