from __future__ import annotations

from pathlib import Path

import pytest

from sailplane.errors import SweepFileError
from sailplane.sweeps.file import SweepFile
from sailplane.sweeps.space import SweepConfig, parse

GOOD = """\
method: bayes
metric:
  name: validation_auc
  goal: maximize
run_cap: 4
parameters:
  learning_rate:
    distribution: log_uniform_values
    min: 1.0e-4
    max: 0.1
  hidden: {values: [32, 64]}
  epochs: {value: 3}
  optimizer:
    parameters:
      momentum: {min: 0.0, max: 0.9}
sailplane:
  seed: 7
"""


def test_a_file_becomes_a_configuration() -> None:
    config = parse(GOOD)
    assert (config.method, config.metric, config.goal) == ("bayes", "validation_auc", "maximize")
    assert (config.run_cap, config.seed) == (4, 7)
    assert {p.name: p.distribution for p in config.parameters} == {
        "epochs": "constant",
        "hidden": "categorical",
        "learning_rate": "log_uniform_values",
        "optimizer.momentum": "uniform",
    }


def test_a_configuration_survives_the_ledgers_json() -> None:
    config = parse(GOOD)
    assert SweepConfig.from_dict(config.to_dict()) == config


def test_what_is_not_wandbs_stands_under_one_key_of_ours() -> None:
    config = parse(GOOD.replace("  seed: 7", "  {seed: 7, max_time: 1.5h, workers: 3, asha: {min_iter: 2}}"))
    assert (config.seed, config.max_time, config.workers) == (7, 5400, 3)
    assert config.stopping is not None
    assert (config.stopping.rule, config.stopping.bands[:3]) == ("asha", (2, 6, 18))
    assert SweepConfig.from_dict(config.to_dict()) == config


def test_the_metric_says_what_ends_the_sweep_and_what_a_failed_trial_counts_as() -> None:
    text = GOOD.replace(
        "  goal: maximize", "  goal: maximize\n  target: 0.9\n  impute: latest\n  impute_while_running: best"
    )
    config = parse(text)
    assert (config.target, config.impute, config.impute_while_running) == (0.9, "latest", "best")
    assert [config.reached(score) for score in (None, 0.89, 0.9)] == [False, False, True]
    assert (
        parse(GOOD).impute_while_running == parse(text.replace("running: best", "running: false")).impute_while_running
    )


@pytest.mark.parametrize(("trials", "cap", "counts"), [(0, 4, 4), (None, 4, 4), (9, 4, 4), (2, 4, 2), (9, None, 9)])
def test_the_smaller_of_trials_and_run_cap_counts(
    tmp_path: Path, trials: int | None, cap: int | None, counts: int
) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(GOOD if cap else GOOD.replace("run_cap: 4\n", ""))
    assert SweepFile.read(file).limited(trials).run_cap == counts


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("program: train.py", "sweep.yaml:1: 'program' is not used: the DAG names the train function."),
        ("command: [python, train.py]", "sweep.yaml:1: 'command' is not used: the DAG names the train function."),
        ("project: mine", "sweep.yaml:1: 'project' is not used: the DAG's model names the project."),
        ("entity: us", "sweep.yaml:1: 'entity' is not used: WANDB_ENTITY names it."),
        (
            "controller: {type: local}",
            "sweep.yaml:1: 'controller' is not used: this platform assigns the trials itself.",
        ),
    ],
)
def test_what_the_dag_decides_is_accepted_and_noted(tmp_path: Path, line: str, note: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(f"{line}\n{GOOD}")
    assert SweepFile.read(file).config == parse(GOOD)
    assert SweepFile.read(file).notes() == (note,)


def test_without_a_metric_the_models_auc_counts_and_a_note_says_so(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("method: grid\nparameters: {a: {values: [1, 2]}}\n")
    config = SweepFile.read(file).config
    assert (config.metric, config.goal) == ("validation_auc", "maximize")
    (note,) = SweepFile.read(file).notes()
    assert "the best trial has the highest validation_auc" in note


def test_a_custom_method_is_searched_by_bayes_for_the_first_of_its_metrics(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    metrics = "metrics: [{name: loss}, {name: seconds}]\nscheduler: {engine: optuna}\n"
    file.write_text(f"method: custom\n{metrics}parameters: {{a: {{min: 0.0, max: 1.0}}}}\n")
    config = SweepFile.read(file).config
    assert (config.method, config.metric, config.goal) == ("bayes", "loss", "minimize")
    assert [note.partition(": ")[2] for note in SweepFile.read(file).notes()] == [
        "'scheduler' is not used: this platform assigns the trials itself.",
        "method 'custom' runs as `bayes` here.",
        "only the first metric counts, 'loss'.",
    ]


def test_a_number_that_yaml_reads_as_a_text_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(GOOD.replace("values: [32, 64]", "values: [1e-5, 64, early]"))
    (note,) = SweepFile.read(file).notes()
    assert "hidden has the text '1e-5'" in note


def test_a_file_with_merge_keys_is_read_once_for_all_of_its_forms(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    shared = "a: &rate {distribution: uniform, min: 0.0, max: 1.0}\n  b: {<<: *rate, max: 2.0}"
    metrics = "metrics: [{name: loss}, &second {name: seconds}, {<<: *second, goal: maximize}]"
    file.write_text(f"method: custom\n{metrics}\nparameters:\n  {shared}\n")
    read = SweepFile.read(file)
    assert [(p.name, p.max) for p in read.config.parameters] == [("a", 1.0), ("b", 2.0)]
    assert read.notes() == read.notes() != ()
    rate = {"distribution": "uniform", "min": 0.0}
    expected = {"a": {**rate, "max": 1.0}, "b": {**rate, "max": 2.0}}
    assert read.for_wandb(read.config, "s")["parameters"] == expected
    assert read.for_wandb(read.config, "s") == read.for_wandb(read.config, "s")


def test_merge_keys_are_read_as_yaml_means_them() -> None:
    shared = "a: &rate {distribution: uniform, min: 0.0, max: 1.0}\n  b: {<<: *rate, max: 2.0}"
    config = parse(f"method: random\nmetric: {{name: loss}}\nparameters:\n  {shared}\n")
    assert [(p.name, p.min, p.max) for p in config.parameters] == [("a", 0.0, 1.0), ("b", 0.0, 2.0)]


def test_integer_bounds_without_a_distribution_give_integers_and_floats_give_floats() -> None:
    ranges = "  a: {min: 1, max: 5}\n  b: {min: 1.0, max: 5.0}\n  c: {min: 0, max: 1.5}\n"
    text = f"method: random\nmetric: {{name: loss}}\nparameters:\n{ranges}"
    assert [p.distribution for p in parse(text).parameters] == ["int_uniform", "uniform", "uniform"]


def test_a_goal_that_is_not_given_is_to_minimise_as_with_wandb() -> None:
    assert parse("method: random\nmetric: {name: loss}\nparameters: {a: {value: 1}}\n").goal == "minimize"


@pytest.mark.parametrize(
    ("line", "replacement", "where", "reason"),
    [
        ("method: bayes", "methd: bayes", ":1", "unknown key 'methd'; expected one of method, metric"),
        ("method: bayes", "methd: bayes", ":1", "Did you mean 'method'?"),
        (
            "method: bayes",
            "method: bays",
            ":1",
            "method is 'bays'; expected one of random, grid, bayes, custom. Did you mean",
        ),
        ("  goal: maximize", "  goal: maximise", ":4", "Did you mean 'maximize'?"),
        ("  name: validation_auc", "  nam: validation_auc", ":3", "Did you mean 'name'?"),
        ("run_cap: 4", "run_cap: 0", ":5", "run_cap is 0; expected a whole number of at least 1"),
        ("run_cap: 4", "run_cap: 4\nrun_cap: 5", ":6", "'run_cap' occurs twice, first on line 5"),
        ("run_cap: 4", "early_terminate: {type: hyperband}", ":5", "early_terminate has no 'min_iter'"),
        ("  goal: maximize", "  target: high", ":4", "target is 'high'; expected a number"),
        ("  goal: maximize", "  impute: mean", ":4", "impute is 'mean'; expected one of worst, best, latest"),
        ("  hidden: {values: [32, 64]}", "  hidden: {min: 3, max: 3}", ":11", "min 3 is not below max 3"),
        ("  hidden: {values: [32, 64]}", "  hidden: {distribution: beta, a: 0}", ":11", "a is 0; expected more than 0"),
        (
            "  hidden: {values: [32, 64]}",
            "  hidden: {distribution: log_uniform, min: 0, max: 800}",
            ":11",
            "max is 800",
        ),
        ("  hidden: {values: [32, 64]}", "  hidden: {distribution: log_normal, sigma: 1000}", ":11", "sigma is 1000"),
        (
            "  hidden: {values: [32, 64]}",
            "  hidden: {distribution: inv_log_uniform, min: -800, max: 1}",
            ":11",
            "min is",
        ),
        ("  seed: 7", "  max_time: soon", ":17", "max_time is 'soon'; expected a time such as 90s, 30m, 1.5h or 1d"),
        ("  seed: 7", "  workers: 0", ":17", "workers is 0; expected a whole number of at least 1"),
        ("run_cap: 4", "program: [train.py]", ":5", "program is ['train.py']; expected a string"),
        ("run_cap: 4", "command: python train.py", ":5", "command is 'python train.py'; expected a list"),
        ("run_cap: 4", "run_cap: 4\nmetrics: [{name: a}, {name: b}]", ":6", "the file has both metric and metrics"),
        ("  hidden: {values: [32, 64]}", "  hidden: {values: [2026-01-01]}", ":11", "Write dates in quotes"),
        ("  hidden: {values: [32, 64]}", "  hidden: {values: [1], probabilities: 1}", ":11", "add up to 1"),
        ("    max: 0.1", "    max: 1e-5", ":10", "max is '1e-5'; expected a number. YAML needs a point"),
        ("    max: 0.1", "    maximum: 0.1", ":10", "unknown key 'maximum'"),
        ("    max: 0.1", "    max: 0.00001", ":9", "min 0.0001 is not below max 1e-05"),
        ("    min: 1.0e-4", "    min: 0.0", ":9", "scale is logarithmic"),
        ("    max: 0.1", "    max: 0.1\n    q: 2", ":11", "unknown key 'q'"),
        ("  hidden: {values: [32, 64]}", "  hidden: {values: []}", ":11", "a list of at least one"),
        ("  hidden: {values: [32, 64]}", "  hidden: {values: [1, 2], probabilities: [1, 1]}", ":11", "add up to 1"),
        ("  hidden: {values: [32, 64]}", "  hidden: {distribution: unifrm}", ":11", "Did you mean 'uniform'?"),
        ("  hidden: {values: [32, 64]}", "  hidden: {distribution: uniform, min: 0.0}", ":11", "has no 'max'"),
        ("  hidden: {values: [32, 64]}", "  hidden: 64", ":11", "parameter 'hidden' is not a mapping"),
        ("  seed: 7", "  seeds: 7", ":17", "Did you mean 'seed'?"),
        ("run_cap: 4", "run_cap: [4", ":6", "not YAML"),
    ],
)
def test_a_mistake_is_refused_with_its_line(line: str, replacement: str, where: str, reason: str) -> None:
    assert line in GOOD
    with pytest.raises(SweepFileError) as refused:
        parse(GOOD.replace(line, replacement))
    assert str(refused.value).startswith(f"sweep.yaml{where}: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize("missing", ["method", "parameters"])
def test_a_part_that_is_missing_is_named(missing: str) -> None:
    parts = {"method": "method: grid\n", "metric": "metric: {name: a}\n", "parameters": "parameters: {a: {value: 1}}\n"}
    with pytest.raises(SweepFileError, match=f"sweep.yaml:1: the file has no '{missing}'"):
        parse("".join(text for name, text in parts.items() if name != missing))


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(SweepFileError, match="the file is empty"):
        parse("")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match="no such file"):
        SweepFile.read(tmp_path / "sweep.yaml")


def test_a_grid_over_a_continuous_range_is_refused() -> None:
    with pytest.raises(SweepFileError, match="method grid, but 'a' is uniform"):
        parse("method: grid\nmetric: {name: a}\nparameters:\n  a: {min: 0.0, max: 1.0}\n")


def test_a_grid_knows_its_size() -> None:
    text = "method: grid\nmetric: {name: a}\nparameters:\n  a: {values: [1, 2]}\n  b: {min: 1, max: 3}\n"
    assert parse(text).size == 6
    assert parse(text + "run_cap: 4\n").size == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"method: random\nname: a\x01b\n", r"sweep.yaml:2: not YAML \(special characters are not allowed\)"),
        (b"method: random\nname: \xff\n", r"read sweep file .*sweep.yaml: .*; expected text in UTF-8"),
        (b"method: random\nname: 2026-13-45\nparameters: {a: {value: 1}}\n", r"sweep.yaml:2: name cannot be read"),
        (b"method: random\nname: !!python/none x\nparameters: {a: {value: 1}}\n", r"sweep.yaml:2: name cannot be read"),
    ],
)
def test_a_file_that_yaml_cannot_read_is_an_error_that_names_it(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_bytes(content)
    with pytest.raises(SweepFileError, match=said):
        SweepFile.read(file)
