"""Sweep files in the forms of W&B's own examples."""

from __future__ import annotations

from typing import Final

# They share the form of W&B's examples, not the searches. They have each line of these examples that was once refused.
FILES: Final = (
    """\
program: train.py
method: bayes
metric:
    name: Validation/Accuracy
    goal: maximize
parameters:
    batch_size:
        values: [8, 16]
    ratio:
        min: 0.1
        max: 0.9""",
    """\
program: fit.py
method: grid
metric: {goal: minimize, name: val_loss}
parameters:
  rate: {values: [0.001, 0.01]}
  decay: {values: [1e-5, 1e-6]}
  epochs: {value: 27}
early_terminate: {type: hyperband, s: 2, eta: 3, max_iter: 27}
""",
    """\
program: flags.py
method: grid
# No metric: a grid needs none.
parameters:
  optimizer: {values: ["sgd", "adam"]}
  flag:
    values:
    - false
    - true
""",
    """\
program: main.py
metric: {name: val_loss, goal: minimize}
method: bayes
parameters:
  optimizer.config.learning_rate: {min: !!float 1e-5, max: 0.1}
  experiment: {values: [first, second]}
  optimizer: {values: [sgd, adam]}
command:
- ${env}
- ${interpreter}
- ${program}
- ${args_no_hyphens}
""",
    """\
description: by a local controller
program: train.py
project: examples
entity: somebody
method: random
controller:
  type: local
metric: {name: loss_metric}
parameters:
  epochs: {distribution: constant, value: 27}
  pretrained: {distribution: categorical, values: [True, False]}
  dropout: {distribution: uniform, min: 0, max: 1}
  layers: {distribution: int_uniform, min: 1, max: 4}
""",
    """\
description: ""
name: ""
job: us/jobs/train:v0
method: grid
run_cap: 10.0
metric: {name: epoch/val_loss, goal: minimize}
parameters:
  rate: {values: [0, 0.0001, 1]}
  epochs: {max: 20, min: 10, distribution: int_uniform}
""",
    """\
apiVersion: v1
kind: sweep
image_uri: registry/train:latest
method: grid
metric: {name: loss, goal: minimize}
parameters:
  batch_size: {values: [32, 64]}
  optimizer:
    parameters:
      lr: {values: [0.001, 0.0001]}
      nadam:
        parameters:
          beta: {values: [0.9, 0.95]}
""",
    """\
method: custom
scheduler: {engine: optuna}
metrics: [{name: loss}, {name: seconds}]
parameters:
  rate: {min: 0, max: 1.5}
""",
)
