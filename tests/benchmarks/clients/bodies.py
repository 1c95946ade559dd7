"""`bodies.py URL FILE COUNT leave|stay` sends the file COUNT times at once, each time on its own connection. With
`leave`, senders close their connection as soon as everything is sent. Prints as JSON how many got which answer: the
status, with `, try again` if the answer says when, or `none`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 120


def send(url: str, body: bytes, stay: bool) -> str:
    address = urlsplit(url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
    with closing(connection):
        try:
            connection.request("POST", address.path, body, {"content-type": "application/json"})
            if not stay:
                return "none"
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            return "none"
        return f"{response.status}, try again" if response.getheader("retry-after") else str(response.status)


def main(url: str, file: str, count: str, manner: str) -> None:
    body = Path(file).read_bytes()
    with ThreadPoolExecutor(int(count)) as pool:
        statuses = pool.map(lambda _: send(url, body, manner == "stay"), range(int(count)))
    print(json.dumps(Counter(statuses)))


if __name__ == "__main__":
    main(*sys.argv[1:])
