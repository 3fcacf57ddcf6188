"""Asks a Mainspring server for predictions with Triton's client, over HTTP and over gRPC.

    pip install 'tritonclient[http,grpc]'
    MAINSPRING_URL=http://127.0.0.1:7878 MAINSPRING_GRPC=127.0.0.1:7879 python triton.py [ENDPOINT]
"""

import os
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http

NUMPY = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}


def ask(module, address: str, endpoint: str | None):
    with module.InferenceServerClient(address) as client:
        as_json = {"as_json": True} if module is tritonclient.grpc else {}
        index = client.get_model_repository_index(**as_json)
        models = index.get("models", []) if isinstance(index, dict) else index
        name = endpoint or next(model["name"] for model in models if model["state"] == "READY")

        # three rows of nothing but zeros, of the types that the model takes
        inputs = []
        for tensor in client.get_model_metadata(name, **as_json)["inputs"]:
            made = module.InferInput(tensor["name"], [3], tensor["datatype"])
            blank = "" if tensor["datatype"] == "BYTES" else 0
            inputs.append(made.set_data_from_numpy(np.full(3, blank, NUMPY[tensor["datatype"]])))

        result = client.infer(name, inputs)
        print(f"{name} answers over {module.__name__}:", result.as_numpy("prediction"))


def main():
    endpoint = sys.argv[1] if len(sys.argv) > 1 else None
    url = os.environ.get("MAINSPRING_URL", "http://127.0.0.1:7878")
    ask(tritonclient.http, url.removeprefix("http://"), endpoint)
    ask(tritonclient.grpc, os.environ.get("MAINSPRING_GRPC", "127.0.0.1:7879"), endpoint)


main()
