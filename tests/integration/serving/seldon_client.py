"""`seldon_client.py ROUTER SERVER SERVER_GRPC RECORD` runs in an environment with seldon-core 1.17.1. It sends requests
in every way of its unmodified client, and prints the answers as JSON. The first three arguments are ports; the record
is JSON."""

from __future__ import annotations

import json
import sys

import numpy as np
from seldon_core.proto import prediction_pb2
from seldon_core.seldon_client import SeldonClient
from seldon_core.utils import seldon_message_to_json

ROUTER, SERVER, SERVER_GRPC = (f"127.0.0.1:{port}" for port in sys.argv[1:4])
RECORD = json.loads(sys.argv[4])
ROW = {"names": list(RECORD), "data": np.array([list(RECORD.values())], dtype=object), "payload_type": "ndarray"}
WAYS = {
    "ambassador": {"gateway": "ambassador", "gateway_endpoint": ROUTER, "deployment_name": "flights"},
    "istio": {"gateway": "istio", "gateway_endpoint": ROUTER, "deployment_name": "flights", "namespace": "local"},
    "seldon": {"gateway": "seldon", "gateway_endpoint": ROUTER},
    "another": {"gateway": "ambassador", "gateway_endpoint": ROUTER, "deployment_name": "other"},
}
PAYLOADS = {"ndarray": ROW, "jsonData": {"json_data": [RECORD]}}


def told(answer):
    said = answer.response
    if said is not None and not isinstance(said, dict):
        said = seldon_message_to_json(said)
    return {"success": answer.success, "said": said, "reason": answer.msg}


def asked():
    for way, how in WAYS.items():
        for transport in ("rest", "grpc"):
            client = SeldonClient(transport=transport, client_return_type="proto", **how)
            for payload, data in PAYLOADS.items():
                yield [way, transport, payload, told(client.predict(**data))]
            answer = client.predict(**ROW)
            if answer.success:
                truth = prediction_pb2.SeldonMessage(data={"tensor": {"shape": [1, 1], "values": [1.0]}})
                fed_back = client.feedback(answer.request, answer.response, truth, reward=0.9)
                yield [way, transport, "feedback", told(fed_back)]
    for transport, endpoint in (("rest", SERVER), ("grpc", SERVER_GRPC)):
        client = SeldonClient(transport=transport, microservice_endpoint=endpoint, client_return_type="proto")
        answer = client.microservice(method="predict", **ROW)
        yield ["microservice", transport, "ndarray", told(answer)]
    client = SeldonClient(transport="grpc", gateway="seldon", gateway_endpoint=SERVER_GRPC, client_return_type="proto")
    numbers = {"data": np.array([[1.0] * len(RECORD)]), "payload_type": "tensor", "names": list(RECORD)}
    yield ["seldon", "grpc", "numbers for texts", told(client.predict(**numbers))]


print(json.dumps(list(asked())))
