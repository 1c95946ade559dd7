"""Sends a request to a model server with NVIDIA's own client: `ask.py http|grpc PORT`. Prints the scores as JSON. Each
argument after the port is a JSON list of [name, datatype, values]; NaN stands for null, which the client lacks."""

import json
import sys

import numpy as np

KINDS = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "BOOL": "bool", "BYTES": "object"}


def main(protocol: str, port: str, tensors: str) -> None:
    if protocol == "http":
        import tritonclient.http as triton
    else:
        import tritonclient.grpc as triton
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    inputs = []
    for name, datatype, values in json.loads(tensors):
        data = np.array([value.encode() if datatype == "BYTES" else value for value in values], KINDS[datatype])
        tensor = triton.InferInput(name, list(data.shape), datatype)
        tensor.set_data_from_numpy(data)
        inputs.append(tensor)
    try:
        answer = client.infer("flights", inputs)
    except triton.InferenceServerException as error:
        print(json.dumps({"error": str(error.message())}))
        return
    parameters = answer.get_response(as_json=True)["parameters"] if protocol == "grpc" else answer.get_response()
    print(json.dumps({"scores": answer.as_numpy("probability").ravel().tolist(), "said": json.dumps(parameters)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
