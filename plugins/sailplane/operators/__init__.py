"""The stages as Airflow operators: each reads the context, calls a pure room and returns a record."""

from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.deployment.rollout.check_specs import ErrorRate, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.plan import Rollout
from sailplane.evaluation.gate import Gate
from sailplane.operators.approve import ApproveModelOperator
from sailplane.operators.batch_predict import BatchPredictOperator
from sailplane.operators.deploy import DeployModelOperator
from sailplane.operators.deployment_tasks import deploy
from sailplane.operators.evaluate import EvaluateModelOperator
from sailplane.operators.form import trigger_form
from sailplane.operators.ingest import IngestDatasetOperator
from sailplane.operators.publish import PublishModelOperator
from sailplane.operators.ship_requests import ShipRequestsOperator
from sailplane.operators.sweep import sweep
from sailplane.operators.sync import SyncStorageOperator
from sailplane.operators.train import TrainModelOperator

__all__ = [
    "ApproveModelOperator",
    "BatchPredictOperator",
    "CoreV1",
    "CoreV2",
    "DeployModelOperator",
    "ErrorRate",
    "EvaluateModelOperator",
    "Gate",
    "IngestDatasetOperator",
    "Latency",
    "Metric",
    "PredictionDrift",
    "PublishModelOperator",
    "Rollout",
    "ShipRequestsOperator",
    "SyncStorageOperator",
    "TrainModelOperator",
    "deploy",
    "sweep",
    "trigger_form",
]
