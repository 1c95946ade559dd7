from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from sailplane import code
from sailplane.errors import ConfigurationError, SweepFileError
from sailplane.home import Home
from sailplane.ledger import Ledger
from sailplane.operators import IngestDatasetOperator, TrainModelOperator, sweep, trigger_form
from sailplane.operators.pins import pin_code
from sailplane.operators.sweep import CreateSweepOperator
from sailplane.operators.sweep_names import MOST_CHARACTERS, found_sweep, sweep_id
from sailplane.records import Dataset, Interval, Run
from sailplane.registry.lineage import code_path
from sailplane.storage import Storage
from sailplane.sweeps import lifecycle, queue, results
from sailplane.sweeps.file import SweepFile
from tests.homes import new_home, new_ledger

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
DATASET = Dataset(
    name="toy",
    version="v",
    uri="file:///toy",
    interval=Interval.trailing(AS_OF, 28),
    rows=1,
    quarantined=0,
    schema=(),
)
FILE = "method: random\nmetric: {name: loss}\nrun_cap: 5\nparameters: {a: {min: 0.0, max: 1.0}}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home of a project with two sweep files."""
    for name, text in [("one", FILE), ("two", FILE.replace("run_cap: 5", "run_cap: 3"))]:
        file = tmp_path / "include" / "toy" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name in ("model", "features"):
        (tmp_path / f"include/toy/{name}.py").write_text("VALUE = 1\n")
    (tmp_path / "dags").mkdir()
    monkeypatch.setenv("SAILPLANE_PROJECT", str(tmp_path))
    monkeypatch.setenv("SAILPLANE_HOME", str(tmp_path / "home"))
    return new_home()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Returns the log of `create`, which Airflow would print."""
    monkeypatch.setattr(CreateSweepOperator, "log", logging.getLogger("created"))
    caplog.set_level(logging.INFO, "created")
    return caplog


def context(task: str, *, dag: str = "toy", run: str = "manual__1", clear: int = 0, **told: int) -> dict[str, Any]:
    tries = {"max_tries": 2 + clear, "try_number": 1 + clear, **told}
    ti = SimpleNamespace(dag_id=dag, run_id=run, task_id=task, map_index=-1, pushed={}, **tries)
    ti.xcom_push = lambda key, value: ti.pushed.update({key: value})
    due = SimpleNamespace(run_after=AS_OF, run_type="manual", clear_number=clear)
    return {"ti": ti, "dag_run": due, "params": {"as_of": "2026-03-01"}}


def create(file: str = "one", *, group: str = "sweep", **given: Any) -> CreateSweepOperator:
    made = {"model": "toy", "dataset": DATASET.to_dict(), "features": "include.toy.features", "config": {}, "seed": 1}
    made |= {"train": "include.toy.model:train", "precision": "float32", "stream": False, "trials": 0, "workers": 0}
    made["retries"] = 2
    return CreateSweepOperator(task_id=f"{group}.create", file=f"include/toy/{file}.yaml", **(made | given))


def test_two_sweeps_on_one_train_step_have_trials_of_their_own(home: Home) -> None:
    with DAG("toy", schedule=None) as dag:
        trained = TrainModelOperator(task_id="train", model="toy", dataset={}, features="f", train="t:t")
        sweep(trained, "include/toy/one.yaml")
        sweep(trained, "include/toy/two.yaml", group_id="wide")
    assert {"sweep.create", "wide.create"} <= set(dag.task_dict)
    create("one").execute(context("sweep.create"))
    create("two", group="wide").execute(context("wide.create"))
    ledger = new_ledger(home.ledger)
    assert {name: results.read(ledger, name).config.size for name in results.names(ledger)} == {
        "toy/manual__1": 5,
        "toy/manual__1/wide": 3,
    }
    for task, name in [("sweep.worker", "toy/manual__1"), ("wide.worker", "toy/manual__1/wide")]:
        assert found_sweep(ledger, "toy", context(task)) == name


def test_two_dags_of_one_model_have_sweeps_of_their_own_on_the_same_day(home: Home) -> None:
    create("one").execute(context("sweep.create"))
    create("two").execute(context("sweep.create", dag="nightly"))
    ledger = new_ledger(home.ledger)
    assert sorted(results.names(ledger)) == ["toy/manual__1", "toy/manual__1/nightly"]


def test_a_sweep_of_an_earlier_release_goes_on_under_its_name(home: Home) -> None:
    ledger = new_ledger(home.ledger)
    lifecycle.create(ledger, "toy/manual__1", SweepFile.read(home.project / "include/toy/one.yaml").config)
    assert found_sweep(ledger, "toy", context("wide.worker", dag="nightly")) == "toy/manual__1"


def test_a_long_name_is_cut_to_the_column_and_stays_unique() -> None:
    run = "manual__2026-11-23T15:40:31.123456+00:00"
    names = {sweep_id("a-model", context(f"{group}.create", run=run)) for group in ("a" * 60, "a" * 61, "b")}
    assert len(names) == 3
    assert max(map(len, names)) == MOST_CHARACTERS


def test_a_task_that_is_tried_again_finds_its_trials(home: Home) -> None:
    ledger = Ledger.at(home)
    for attempt in (1, 2):
        create().execute(context("sweep.create", try_number=attempt))
        queue.ask(ledger, "toy/manual__1", "w")
    assert len(results.trials(ledger, "toy/manual__1")) == 2


def train(clear: int = 0, **told: int) -> str:
    """Returns the digest of the train step's code."""
    step = TrainModelOperator(task_id="train", model="toy", dataset={}, features="include.toy.features", train="t:t")
    return pin_code(step, context("train", clear=clear, **told))


def test_the_trials_use_the_code_that_the_train_step_used_though_it_was_edited_meanwhile(home: Home) -> None:
    used = train()
    for name in ("model.py", "features.py", "one.yaml"):
        (home.project / "include/toy" / name).write_text("VALUE = 2\n")
    create().execute(context("sweep.create"))
    ledger = Ledger.at(home)
    assert (results.job(ledger, "toy/manual__1") or {})["code"] == used
    assert results.read(ledger, "toy/manual__1").config.size == 5
    assert code.load("include.toy.features:VALUE") == 1


def test_a_clear_goes_on_though_the_old_code_was_collected_as_garbage(home: Home) -> None:
    used = train()
    Storage(home.store).delete(code_path(used))
    (home.project / "include/toy/features.py").write_text("VALUE = 2\n")
    assert train(clear=1) != used


def test_after_a_clear_with_other_code_a_new_sweep_begins_and_old_trials_do_not_count(
    home: Home, logged: pytest.LogCaptureFixture
) -> None:
    train()
    create().execute(context("sweep.create"))
    ledger = Ledger.at(home)
    queue.ask(ledger, "toy/manual__1", "w")
    (home.project / "include/toy/model.py").write_text("VALUE = 2\n")
    train(clear=1)
    again = context("sweep.create", clear=1)
    create().execute(again)
    assert found_sweep(ledger, "toy", context("sweep.worker")) == "toy/manual__1~2"
    assert results.trials(ledger, "toy/manual__1~2") == ()
    assert results.stopped(ledger, "toy/manual__1") == "the run was cleared with another code"
    said = "The code changed since the trials of toy/manual__1, so they do not count; toy/manual__1~2 starts."
    assert again["ti"].pushed["code"] == said
    assert said in logged.messages


def test_after_a_clear_of_the_sweep_alone_the_trials_go_on_with_the_code_of_the_run(home: Home) -> None:
    train()
    create().execute(context("sweep.create"))
    ledger = Ledger.at(home)
    queue.ask(ledger, "toy/manual__1", "w")
    (home.project / "include/toy/model.py").write_text("VALUE = 2\n")
    create().execute(context("sweep.create", clear=1))
    assert results.names(ledger) == ["toy/manual__1"]
    assert len(results.trials(ledger, "toy/manual__1")) == 1


def test_a_mended_sweep_file_counts_once_the_failed_task_is_cleared(home: Home) -> None:
    file = home.project / "include/toy/one.yaml"
    file.write_text(FILE.replace("parameters", "paramters"))
    train()
    with pytest.raises(SweepFileError, match="paramters"):
        create().execute(context("sweep.create"))
    file.write_text(FILE.replace("run_cap: 5", "run_cap: 4"))
    with pytest.raises(SweepFileError, match="paramters"):
        create().execute(context("sweep.create", try_number=2))
    create().execute(context("sweep.create", clear=1))
    assert results.read(Ledger.at(home), "toy/manual__1").config.size == 4


def test_an_edit_of_another_project_or_of_a_file_that_no_trial_reads_begins_no_new_sweep(home: Home) -> None:
    train()
    create().execute(context("sweep.create"))
    (home.project / "include/other").mkdir()
    (home.project / "include/other/model.py").write_text("")
    train(clear=1)
    create().execute(context("sweep.create", clear=1))
    assert results.names(Ledger.at(home)) == ["toy/manual__1"]


@pytest.mark.parametrize(
    ("given", "differing"),
    [
        ({"dataset": {**DATASET.to_dict(), "version": "corrected"}}, "dataset"),
        ({"config": {"width": 2}}, "configuration of the train step"),
        ({"trials": 2}, "configuration of the sweep"),
    ],
)
def test_trials_on_other_data_or_of_another_configuration_do_not_count(
    home: Home, given: dict[str, Any], differing: str
) -> None:
    create().execute(context("sweep.create"))
    create(**given).execute(context("sweep.create", clear=1))
    ledger = Ledger.at(home)
    assert sorted(results.names(ledger)) == ["toy/manual__1", "toy/manual__1~2"]
    assert results.stopped(ledger, "toy/manual__1") == f"the run was cleared with another {differing}"


def test_a_dag_file_that_changes_after_the_train_step_does_not_change_the_trials(home: Home) -> None:
    run = Run(
        id="toy/manual__1/train", model="toy", config={"width": 1}, seed=1, dataset=DATASET, as_of=AS_OF, metrics={},
        bundle="b", seconds=1.0, features="include.toy.features", train="include.toy.model:train",
    )  # fmt: skip
    create(trained=run.to_dict(), config={"width": 2}, train="include.toy.model:other").execute(context("sweep.create"))
    job = results.job(Ledger.at(home), "toy/manual__1") or {}
    assert (job["config"], job["train"]) == ({"width": 1}, "include.toy.model:train")


def test_a_task_says_which_files_changed_since_the_run_started(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    extract = {"dataset": "toy", "extract": "include.toy.model:e", "schema": "include.toy.model:S", "time": "t"}
    ingest = IngestDatasetOperator(task_id="ingest", **extract)
    pin_code(ingest, context("ingest"))
    (home.project / "include/toy/model.py").write_text("VALUE = 2\n")
    step = TrainModelOperator(task_id="train", model="toy", dataset={}, features="include.toy.features", train="t:t")
    told = context("train")
    pin_code(step, told)
    assert (
        told["ti"]
        .pushed["code"]
        .startswith(
            "The code has changed since this run started (include/toy/model.py); the run keeps its own version."
        )
    )
    cleared = context("train", clear=1)
    pin_code(step, cleared)
    assert cleared["ti"].pushed["code"] == (
        "The code has changed since the last time (include/toy/model.py): "
        "this task and all later ones use the new version."
    )


@pytest.mark.parametrize(
    ("trials", "size", "told"),
    [
        (0, 5, "At most 5 trials: the file's run_cap is 5, the DAG's trials not given"),
        ("None", 5, "At most 5 trials: the file's run_cap is 5, the DAG's trials not given"),
        ("9", 5, "At most 5 trials: the file's run_cap is 5, the DAG's trials 9"),
        ("2", 2, "At most 2 trials: the file's run_cap is 5, the DAG's trials 2"),
    ],
)
def test_the_smaller_of_trials_and_run_cap_counts_and_the_log_says_which(
    home: Home, logged: pytest.LogCaptureFixture, trials: int | str, size: int, told: str
) -> None:
    create(trials=trials).execute(context("sweep.create"))
    assert results.read(new_ledger(home.ledger), "toy/manual__1").config.size == size
    assert told in logged.messages


def test_trials_that_are_no_number_are_refused(home: Home) -> None:
    with pytest.raises(ConfigurationError, match=r"read trials: 'many'; expected a whole number"):
        create(trials="many").execute(context("sweep.create"))


@pytest.mark.parametrize("wrong", [{"trials": -1}, {"workers": "-2"}])
def test_negative_numbers_of_trials_and_workers_are_refused(home: Home, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected a whole number, 0 for the default"):
        create(**wrong).execute(context("sweep.create"))
    assert results.names(new_ledger(home.ledger)) == []


def test_an_empty_field_of_the_trigger_form_leaves_it_to_the_file() -> None:
    form = trigger_form(window=28, workers=1)
    assert form["trials"].resolve() is None
