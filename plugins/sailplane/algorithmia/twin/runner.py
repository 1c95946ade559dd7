"""`python runner.py FOLDER`: one call of an algorithm, in its own process.

Reads FOLDER/source.py, which defines `apply(input)`, and FOLDER/call.json; writes FOLDER/answer.json.
"""

from __future__ import annotations

import base64
import json
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    call = json.loads((folder / "call.json").read_text())
    try:
        apply = runpy.run_path(str(folder / "source.py"), run_name="algorithm")["apply"]
        answer = _answer(apply(_given(call["content_type"], call["value"])))
    except Exception as error:
        message = str(error) or type(error).__name__
        answer = {"message": message, "kind": type(error).__name__, "stacktrace": traceback.format_exc()}
    (folder / "answer.json").write_text(json.dumps(answer, allow_nan=False))


def _given(content_type: str, value: Any) -> Any:
    return bytearray(base64.b64decode(value)) if content_type == "binary" else value


def _answer(result: Any) -> dict[str, Any]:
    if isinstance(result, (bytes, bytearray)):
        return {"content_type": "binary", "result": base64.b64encode(result).decode()}
    # Encoded here, so that a value without JSON is the algorithm's error.
    json.dumps(result, allow_nan=False)
    return {"content_type": "text" if isinstance(result, str) else "json", "result": result}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
