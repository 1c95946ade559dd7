"""A peer gets no figure if its work is wrong or missing."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import verified
from tests.benchmarks.sweeps import trials_of
from tests.benchmarks.verified import Question, UnverifiedError

QUESTIONS = [Question([x], [x / 10]) for x in range(1, 4)]


@contextmanager
def model_server(answer: Any) -> Iterator[str]:
    """Starts a real server on loopback: `answer(x, asked)` returns the status and the score for the x that it got."""

    class Handler(BaseHTTPRequestHandler):
        asked = 0

        def do_POST(self) -> None:
            [x] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            Handler.asked += 1
            status, score = answer(x, Handler.asked)
            body = json.dumps({"scores": [[score]]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_said: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str) -> None:
    verified.scores("the peer", url, QUESTIONS, lambda answer: answer["scores"])


def test_a_server_with_the_models_scores_is_taken() -> None:
    with model_server(lambda x, _asked: (200, x / 10 + 9e-6)) as url:
        ask(url)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda *_: (200, 0.1), r"the peer, body 1: 0\.1; expected 0\.2 within 1e-05"),
        (lambda x, _asked: (200, x / 10 + 2e-5), "the peer, body 0"),
        (lambda *_: (200, math.nan), "body 0: nan"),
        (lambda x, _asked: (500, x / 10), "the peer: status 500 for body 0"),
        (lambda x, _asked: (200, [x / 10, 0.5]), "body 0: 2 numbers; expected 1"),
        (lambda *_: (200, []), "body 0: 0 numbers; expected 1"),
    ],
)
def test_a_server_that_answers_wrong_is_refused(answer: Any, reason: str) -> None:
    with model_server(answer) as url, pytest.raises(UnverifiedError, match=reason):
        ask(url)


def test_a_server_that_answers_wrong_after_a_load_is_refused() -> None:
    with model_server(lambda x, asked: (200, x / 10 if asked <= 3 else 0.0)) as url:
        ask(url)
        with pytest.raises(UnverifiedError):
            ask(url)


WRK = """\
Running 1s test @ http://127.0.0.1:8123/predict
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.91ms  500.00us  10.11ms   90.00%
    Req/Sec     5.52k   120.00     5.70k    70.00%
  5520 requests in 1.00s, 1.10MB read
{}Requests/sec:   5519.21
Transfer/sec:      1.10MB
"""


def test_what_wrk_measured_of_whole_answers_is_taken() -> None:
    assert verified.load("the peer", WRK.format("")) == verified.Loaded(5520, 5519.21)


@pytest.mark.parametrize(
    "line",
    ["  Non-2xx or 3xx responses: 12\n", "  Socket errors: connect 0, read 16, write 0, timeout 3\n"],
)
def test_a_load_with_requests_that_failed_is_refused(line: str) -> None:
    with pytest.raises(UnverifiedError, match=f"the peer: {line.strip()}"):
        verified.load("the peer", WRK.format(line))
    with pytest.raises(UnverifiedError, match="no request was answered"):
        verified.load("the peer", WRK.format("").replace("5520", "0"))


# Acts like a library's client that runs trials in separate processes, which have another sys.argv.
CLIENT = """\
import json, subprocess, sys
count, each = int(sys.argv[1]), sys.argv[2]
trial = "import sys, time; time.sleep(float({given})); print({score})"
told = []
for number in range(count):
    ended = subprocess.run([sys.executable, "-c", trial, str(number)], capture_output=True, text=True)
    told.append([float(number), float(ended.stdout) if ended.returncode == 0 else None])
print(json.dumps({{"seconds": 0.5, "trials": told{less}}}))
"""


@pytest.mark.parametrize(
    ("given", "score", "less", "reason"),
    [
        ("sys.argv[2]", "float(sys.argv[1])", "", "the peer: 3 of 3 trials failed"),
        ("0", "0.0", "", r"the peer, scores: 0\.0; expected 1\.0"),
        ("0", "float(sys.argv[1])", "[:2]", "the peer: 2 trials; expected 3"),
        ("0", "float(sys.argv[1])", " * 2", "the peer: 6 trials; expected 3"),
    ],
)
def test_a_client_whose_trials_fail_or_score_otherwise_is_refused(
    tmp_path: Path, given: str, score: str, less: str, reason: str
) -> None:
    client = tmp_path / "client.py"
    client.write_text(CLIENT.format(given=given, score=score, less=less))
    with pytest.raises(UnverifiedError, match=reason):
        trials_of("the peer", [sys.executable, str(client)], 3, 0.0)


def test_a_client_whose_trials_were_made_is_taken(tmp_path: Path) -> None:
    client = tmp_path / "client.py"
    client.write_text(CLIENT.format(given="0", score="float(sys.argv[1])", less=""))
    assert trials_of("the peer", [sys.executable, str(client)], 3, 0.0) == 0.5


def test_searches_that_are_short_or_better_than_the_best_there_is_are_refused() -> None:
    told = [{"regret": 0.5, "trials": 60}, {"regret": 0.1, "trials": 60}]
    assert verified.searches("the peer", told, 2, 60) == [0.5, 0.1]
    for wrong in ({"regret": 0.1, "trials": 59}, {"regret": -0.1, "trials": 60}, {"regret": math.nan, "trials": 60}):
        with pytest.raises(UnverifiedError):
            verified.searches("the peer", [told[0], wrong], 2, 60)
    with pytest.raises(UnverifiedError):
        verified.searches("the peer", told[:1], 2, 60)


def test_files_with_other_bytes_of_the_same_size_are_refused(tmp_path: Path) -> None:
    for name, last in (("source", b"a"), ("same", b"a"), ("changed", b"b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0001.bin").write_bytes(b"x" * 5_000_000 + last)
    expected = verified.digests(tmp_path / "source")
    verified.files("the peer", verified.digests(tmp_path / "same"), expected)
    with pytest.raises(UnverifiedError, match=r"the peer: 1 files have other bytes, 0001\.bin among them"):
        verified.files("the peer", verified.digests(tmp_path / "changed"), expected)
    (tmp_path / "same" / "0002.bin").write_bytes(b"")
    with pytest.raises(UnverifiedError, match="0 files are missing, 1 are not of the set"):
        verified.files("the peer", verified.digests(tmp_path / "same"), expected)
