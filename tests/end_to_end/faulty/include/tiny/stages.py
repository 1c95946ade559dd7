"""The first tasks of this project's DAGs."""

from sailplane.operators import IngestDatasetOperator, TrainModelOperator


def ingest() -> IngestDatasetOperator:
    return IngestDatasetOperator(
        task_id="ingest",
        dataset="tiny",
        extract="include.tiny.data:extract",
        schema="include.tiny.data:SCHEMA",
        time="time",
        days="{{ params.window }}",
    )


def train(model: str) -> TrainModelOperator:
    """Creates `ingest >> train` for a model with this name."""
    return TrainModelOperator(
        task_id="train",
        model=model,
        dataset=ingest().output,
        features="include.tiny.features",
        train="include.tiny.model:train",
        baseline="include.tiny.model:baseline",
        config={"as_of": "{{ params.as_of }}"},
    )
