"""Faults of a Data API in place of its answer, and a client with short timeouts."""

from __future__ import annotations

import threading

from sailplane.algorithmia.client import DataApi, RetryPolicy
from sailplane.storage.access import Access
from tests.unit.algorithmia.data_api_server import KEY, DataApiServer, Handler

QUICK = {"first": 0.01, "longest": 0.05}


def client(server: DataApiServer, key: str = KEY, **patience: float) -> DataApi:
    return DataApi(Access(endpoint=server.url, secret=key), RetryPolicy(**QUICK, **patience))


def status(code: int, handler: Handler, *, message: str = "", **headers: str) -> None:
    for _ in handler.body():
        pass
    handler.answer(code, {"error": {"message": message}}, **headers)


def cut_upload(handler: Handler) -> None:
    next(handler.body())
    handler.cut()


def cut_download(after: int, handler: Handler) -> None:
    handler.cut_after = after
    handler.serve()


def without_length(handler: Handler) -> None:
    handler.without_length = True
    handler.serve()


def without_ranges(handler: Handler) -> None:
    del handler.headers["Range"]
    handler.serve()


def lose_answer(handler: Handler) -> None:
    """Carries out the request and loses the answer."""
    handler.answer = lambda *_, **__: handler.cut()
    handler.serve()


def silent(free: threading.Event, handler: Handler) -> None:
    free.wait()
    handler.cut()


def page(handler: Handler) -> None:
    """Answers with a page for people, of another service."""
    handler.answer(200, X_Data_Type="directory", Content_Length="6")
    handler.wfile.write(b"<html>")
