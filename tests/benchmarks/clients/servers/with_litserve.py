"""`python with_litserve.py PORT`

`fast_queue` is for more than 100 requests a second, by its documentation.
https://lightning.ai/docs/litserve/api-reference/litserver
"""

from __future__ import annotations

import sys
from typing import Any

import litserve


class Model(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002
        from model import answer

        self.answer = answer

    def predict(self, message: Any) -> dict[str, Any]:
        return self.answer(message)


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
