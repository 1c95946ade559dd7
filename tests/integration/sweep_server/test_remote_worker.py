"""Workers that have only Python and a train function."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from sailplane.sweep_server import app, tokens
from sailplane.sweep_server.stored import Stored
from sailplane.sweeps import lifecycle, queue, results
from sailplane.sweeps.space import parse
from tests.integration.sweep_server.conftest import Address, Elsewhere, serving
from tests.ports import free_port

LEARNS = """\
def train(config, data, run):
    assert data is None
    for epoch in run.epochs(4):
        run.log({"loss": config["rate"] / (epoch + 1)}, step=epoch)
"""
HALF_WAY = """\
import time

def train(config, data, run):
    kept = run.resume()
    for epoch in run.epochs(6):
        run.log({"loss": 1.0 - epoch / 10}, step=epoch)
        run.checkpoint({"epoch": epoch})
        if kept is None and epoch == 2:
            print("half way", flush=True)
            time.sleep(600)
    print("went on with", kept, flush=True)
"""
ONE = "method: grid\nmetric: {name: loss}\nparameters: {rate: {values: [0.5]}}\n"

BAYES = """\
method: bayes
metric: {name: loss}
run_cap: 5
parameters: {rate: {min: 0.0, max: 1.0}}
"""


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LEASE_SECONDS", 1.5)


def test_two_workers_share_the_trials(address: Address, elsewhere: Elsewhere) -> None:
    url, token = address.share()
    processes = [elsewhere.worker(url, token, LEARNS, "--name", name) for name in ("colab", "laptop")]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    trials = results.trials(address.ledger, "toy/s")
    assert [trial.state for trial in trials] == ["finished"] * 6
    assert [trial.score for trial in trials] == [pytest.approx(trial.config["rate"] / 4) for trial in trials]
    assert all(len(trial.values) == 4 for trial in trials)
    assert "".join(said).count("trial ") == 6
    assert "joined sweep toy/s, to minimize loss" in said[0]


def test_a_number_that_the_function_returns_is_the_score(address: Address, elsewhere: Elsewhere) -> None:
    url, token = address.share(ONE)
    code, said = elsewhere.work(url, token, "def train(config, data, run):\n    return config['rate'] * 2\n")
    assert (code, said.splitlines()[-1]) == (0, "The sweep has no more trials: 1 finished here, 0 failed.")
    assert results.trials(address.ledger, "toy/s")[0].score == 1.0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('too hot')", "ValueError: too hot (model.py:3 in train)"),
        ("return float('nan')", ": its score is nan; expected a finite number."),
        ("pass", "no metric 'loss'; expected the sweep's metric. Log it: run.log({'loss': ...})."),
        ("run.checkpoint({'a': object()})", "keep a checkpoint: Object of type object is not JSON serializable"),
    ],
)
def test_a_trial_that_fails_costs_itself_only(address: Address, elsewhere: Elsewhere, body: str, reason: str) -> None:
    url, token = address.share()
    train = (
        f"def train(config, data, run):\n    if config['rate'] > 0.5:\n        {body}\n    else:\n        return 1.0\n"
    )
    code, said = elsewhere.work(url, token, train)
    trials, failures = results.trials(address.ledger, "toy/s"), results.failures(address.ledger, "toy/s")
    assert code == 0, said
    assert {trial.number for trial in trials if trial.config["rate"] > 0.5} == failures.keys() != set()
    assert all(reason in why for why in failures.values())
    assert all(trial.state == "finished" for trial in trials if trial.number not in failures)


@pytest.mark.usefixtures("short_leases")
def test_a_killed_workers_trial_goes_on_from_its_checkpoint_on_another_machine(
    address: Address, elsewhere: Elsewhere
) -> None:
    url, token = address.share(ONE)
    killed = elsewhere.worker(url, token, HALF_WAY)
    with killed:
        assert killed.stdout is not None
        assert any("half way" in line for line in killed.stdout)
        killed.kill()
    code, said = elsewhere.work(url, token, HALF_WAY)
    assert code == 0, said
    assert "went on with {'epoch': 2}" in said
    (trial,) = results.trials(address.ledger, "toy/s")
    assert trial.values == pytest.approx((1.0, 0.9, 0.8, 0.7, 0.6, 0.5))
    assert trial.score == pytest.approx(0.5)


def test_of_finished_trials_the_best_ones_checkpoint_stays(
    address: Address, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """The model is made from this checkpoint."""
    url, token = address.share()
    train = "def train(config, data, run):\n    run.checkpoint({'rate': config['rate']})\n    return config['rate']\n"
    assert elsewhere.work(url, token, train)[0] == 0
    best = results.best_trial(address.ledger, "toy/s")
    stored = Stored("toy/s")
    assert [
        trial.number for trial in results.trials(address.ledger, "toy/s") if stored.shelf(trial.number).has("last")
    ] == [best.number]
    assert stored.shelf(best.number).fetch(tmp_path / "kept", "last")
    assert json.loads((tmp_path / "kept").read_text())["state"] == {"rate": best.config["rate"]}


def test_an_interrupted_workers_trial_is_given_to_the_next_at_once(address: Address, elsewhere: Elsewhere) -> None:
    url, token = address.share(ONE)
    process = elsewhere.worker(url, token, HALF_WAY)
    with process:
        assert process.stdout is not None
        assert any("half way" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    again = queue.ask(address.ledger, "toy/s", "another")
    assert again is not None
    assert again.number == 0


def test_losers_are_stopped_early_and_a_stop_of_the_sweep_is_heard(address: Address, elsewhere: Elsewhere) -> None:
    waits = """\
import time

def train(config, data, run):
    for epoch in run.epochs(10**9):
        run.log({"loss": 1.0}, step=epoch)
        print("at it", flush=True)
        time.sleep(0.2)
"""
    url, token = address.share()
    process = elsewhere.worker(url, token, waits)
    with process:
        assert process.stdout is not None
        assert any("at it" in line for line in process.stdout)
        lifecycle.stop(address.ledger, "toy/s", "enough")
        process.communicate(timeout=60)
    assert process.returncode == 0
    (trial,) = results.trials(address.ledger, "toy/s")
    assert (trial.state, trial.score) == ("finished", 1.0)


@pytest.mark.usefixtures("short_leases")
def test_a_trial_that_hangs_is_failed_and_given_to_nobody(address: Address, elsewhere: Elsewhere) -> None:
    url, token = address.share(ONE + "sailplane: {max_trial_time: 1s}\n")
    process = elsewhere.worker(url, token, "import time\n\ndef train(config, data, run):\n    time.sleep(600)\n")
    with process:
        assert process.stdout is not None
        assert any("Interrupt this worker: its trial has failed." in line for line in process.stdout)
        assert queue.ask(address.ledger, "toy/s", "another") is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert "longer than max_trial_time" in results.failures(address.ledger, "toy/s")[0]


def test_early_stopping_by_a_metric_that_is_never_logged_is_an_error(address: Address, elsewhere: Elsewhere) -> None:
    url, token = address.share(ONE + "early_terminate: {type: hyperband, min_iter: 1}\n")
    code, said = elsewhere.work(url, token, "def train(config, data, run):\n    return 1.0\n")
    assert code == 1, said
    assert "'loss' was never logged, so it cannot stop trials early" in results.failures(address.ledger, "toy/s")[0]


def test_bayes_is_asked_in_a_process_of_its_own(address: Address, elsewhere: Elsewhere) -> None:
    url, token = address.share(BAYES)
    before = "optuna" in sys.modules
    assert elsewhere.work(url, token, "def train(config, data, run):\n    return (config['rate'] - 0.3) ** 2\n")[0] == 0
    assert ("optuna" in sys.modules) == before
    trials = results.trials(address.ledger, "toy/s")
    assert [trial.state for trial in trials] == ["finished"] * 5
    assert len({trial.config["rate"] for trial in trials}) == 5


def test_a_server_that_goes_away_is_waited_for(address: Address, elsewhere: Elsewhere) -> None:
    """The running trial continues, with all its values."""
    slow = LEARNS.replace(
        "    run.log", "    import time; time.sleep(0.5); print('epoch', flush=True)\n        run.log"
    )
    lifecycle.create(address.ledger, "toy/away", parse(ONE))
    name, token = tokens.share(address.ledger, "toy/away")
    port = free_port()
    with serving(port) as root:
        process = elsewhere.worker(f"{root}/{name}", token, slow)
        assert process.stdout is not None
        assert any("epoch" in line for line in process.stdout)
    time.sleep(2)
    with serving(port), process:
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    (trial,) = results.trials(address.ledger, "toy/away")
    assert (trial.state, len(trial.values)) == ("finished", 4)
    assert "is unreachable" in said


def test_a_revoked_token_ends_the_worker_and_its_trial_is_given_again(address: Address, elsewhere: Elsewhere) -> None:
    url, token = address.share(ONE)
    waits = """\
import time

def train(config, data, run):
    print("at it", flush=True)
    time.sleep(2)
    return 1.0
"""
    process = elsewhere.worker(url, token, waits)
    with process:
        assert process.stdout is not None
        assert any("at it" in line for line in process.stdout)
        assert tokens.unshare(address.ledger, "toy/s")
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.rstrip().endswith("its token is unknown or revoked. `sailplane sweep share` makes a new one.")
    assert results.trials(address.ledger, "toy/s")[0].state == "running"


@pytest.mark.parametrize(
    ("url", "train", "says"),
    [
        ("ftp://example", "model.py:train", "join sweep ftp://example: an invalid address; expected http://..."),
        ("{url}", "model.py", "load train function model.py: expected FILE.py:FUNCTION, or MODULE:FUNCTION."),
        ("{url}", "other.py:train", "load train function other.py: no such file."),
        ("{url}", "model.py:fit", "load train function model.py:fit: model.py has no function 'fit'."),
        ("{url}", "nowhere.model:train", "load train function nowhere.model: no such module."),
        ("{url}0", "model.py:train", "its token is unknown or revoked"),
    ],
)
def test_what_a_careless_user_gives_is_one_line(
    address: Address, elsewhere: Elsewhere, url: str, train: str, says: str
) -> None:
    shared, token = address.share()
    (elsewhere.folder / "model.py").write_text(LEARNS)
    with elsewhere.python(token, "-S", "worker.pyz", url.format(url=shared), "--train", train) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert says in said
    assert said.count("\n") == 1


def test_a_package_that_is_missing_is_named(elsewhere: Elsewhere) -> None:
    code, said = elsewhere.work("http://localhost:1/s", "token", "import nowhere\n")
    assert (code, said.count("\n")) == (1, 1)
    assert "load train function model.py:train: it imports 'nowhere', which is not installed here. Install it." in said


def test_without_a_token_and_a_terminal_it_says_so(elsewhere: Elsewhere) -> None:
    (elsewhere.folder / "model.py").write_text(LEARNS)
    with elsewhere.python("", "-S", "worker.pyz", "http://localhost:1/s", "--train", "model.py:train") as process:
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert "no token, and no terminal to enter it. Set SAILPLANE_SWEEP_TOKEN" in said
