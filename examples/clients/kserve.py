"""Asks a Mainspring server for predictions with KServe's clients, over REST and over gRPC.

    pip install kserve
    MAINSPRING_URL=http://127.0.0.1:7878 MAINSPRING_GRPC=127.0.0.1:7879 python kserve.py ENDPOINT
"""

import asyncio
import os
import sys

# this file is called as the package is: the folder that it lies in is no place to look for the package
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [path for path in sys.path if os.path.abspath(path) != HERE]

import httpx  # noqa: E402
import numpy as np  # noqa: E402
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest  # noqa: E402
from kserve.inference_client import RESTConfig  # noqa: E402

URL = os.environ.get("MAINSPRING_URL", "http://127.0.0.1:7878")
GRPC = os.environ.get("MAINSPRING_GRPC", "127.0.0.1:7879")
NUMPY = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}


def request(endpoint: str) -> InferRequest:
    """Three rows of nothing but zeros, of the types that the model takes."""
    inputs = []
    for tensor in httpx.get(f"{URL}/v2/models/{endpoint}").json()["inputs"]:
        made = InferInput(tensor["name"], [3], tensor["datatype"])
        blank = "" if tensor["datatype"] == "BYTES" else 0
        made.set_data_from_numpy(np.full(3, blank, NUMPY[tensor["datatype"]]))
        inputs.append(made)
    return InferRequest(endpoint, inputs)


async def main(endpoint: str):
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        answer = await client.infer(URL, request(endpoint), model_name=endpoint)
        print(f"{endpoint} answers over REST:", answer.outputs[0].as_numpy())
    async with InferenceGRPCClient(GRPC) as client:
        answer = await client.infer(request(endpoint))
        print(f"{endpoint} answers over gRPC:", answer.outputs[0].as_numpy())


asyncio.run(main(sys.argv[1]))
