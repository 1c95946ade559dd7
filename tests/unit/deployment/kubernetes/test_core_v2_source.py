"""The text of Seldon's agent, in the form that its own Prometheus client writes."""

from __future__ import annotations

import pytest

from sailplane.deployment.kubernetes.core_v2_source import calls
from sailplane.serving.observations import Observations

TEXT = """\
# HELP go_gc_duration_seconds A summary of the pause duration of garbage collection cycles.
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 3.1e-05
go_gc_duration_seconds_sum 0.004
go_gc_duration_seconds_count 41
# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79394882537e+09
# HELP seldon_model_infer_seconds_total A sum of server inference call latencies
# TYPE seldon_model_infer_seconds_total counter
seldon_model_infer_seconds_total{LABELS,code="200",method_type="rest"} 2345.6
# HELP seldon_model_infer_total A count of server inference calls
# TYPE seldon_model_infer_total counter
seldon_model_infer_total{LABELS,code="200",method_type="rest"} 1.234567e+06
seldon_model_infer_total{LABELS,code="503",method_type="rest"} 12
seldon_model_infer_total{LABELS,code="OK",method_type="grpc"} 3
# HELP seldon_loaded_model_gauge A gauge of models loaded in the system
# TYPE seldon_loaded_model_gauge gauge
seldon_loaded_model_gauge{model_internal="flights-v1_3",server="mlserver",server_replica="0"} 1
""".replace("LABELS", 'model="flights.experiment",model_internal="flights-v1_3",server="mlserver",server_replica="0"')
WHOLE = Observations(started=1793948825.37, requests=1234582, errors=12)


def of(text: str) -> Observations:
    return calls(text, "flights.experiment", "flights-v1")


def test_the_calls_of_a_model_are_read_with_the_agents_start() -> None:
    assert of(TEXT) == WHOLE


@pytest.mark.parametrize(
    ("code", "requests", "errors"),
    [
        *((code, 1, 0) for code in ("200", "204", "304", "OK")),
        *((code, 1, 1) for code in ("500", "501", "502", "503", "504", "404")),
        *((code, 1, 1) for code in ("Unknown", "Internal", "Unavailable", "DataLoss", "DeadlineExceeded")),
        *((code, 1, 1) for code in ("Unimplemented", "NotFound")),
        *((code, 0, 0) for code in ("400", "401", "413", "422", "429")),
        *((code, 0, 0) for code in ("InvalidArgument", "Canceled", "ResourceExhausted", "FailedPrecondition")),
    ],
)
def test_a_code_is_an_answer_a_failure_or_the_callers_own_fault(code: str, requests: int, errors: int) -> None:
    labels = 'model="flights.experiment",model_internal="flights-v1_1"'
    text = f'# TYPE seldon_model_infer_total counter\nseldon_model_infer_total{{code="{code}",{labels}}} 1\n'
    assert of(text) == Observations(requests=requests, errors=errors)


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("flights-v1_", "flights-v11_"),
        TEXT.replace("flights-v1_", "flights-v1_1_"),
        TEXT.replace('model="flights.experiment"', 'model="flights-v1"'),
        TEXT.replace("seldon_model_infer_total", "seldon_pipeline_infer_total"),
    ],
    ids=["another model", "another name", "asked for itself", "another counter"],
)
def test_what_is_not_a_call_of_the_model_by_the_experiment_is_not_read(other: str) -> None:
    assert of(other) == Observations(started=WHOLE.started)
