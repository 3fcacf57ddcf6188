"""KServe's own clients, over REST and gRPC."""

import asyncio
import os
import pathlib
import subprocess
import sys

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.grpc.grpc_predict_v2_pb2 import (
    ModelMetadataRequest,
    RepositoryModelLoadRequest,
    RepositoryModelUnloadRequest,
    ServerMetadataRequest,
)
from kserve.protocol.infer_type import RequestedOutput

from harness import PATIENCE

DATATYPES = {"city": "BYTES", "nights": "INT64", "breakfast": "BOOL", "distance": "FP64"}


def rest(platform, ask):
    """Runs what `ask` does with a client and the server's URL."""

    async def run():
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            return await ask(client, platform.url)

    return asyncio.run(run())


def over_grpc(platform, ask):
    async def run():
        async with InferenceGRPCClient(platform.grpc) as client:
            return await ask(client)

    return asyncio.run(run())


def request(model: str, arrays: dict, binary: bool, outputs=None, parameters=None) -> InferRequest:
    inputs = []
    for name, array in arrays.items():
        made = InferInput(name, list(array.shape), DATATYPES.get(name, "FP64"))
        made.set_data_from_numpy(array, binary_data=binary)
        inputs.append(made)
    return InferRequest(model, inputs, request_id="r-7", request_outputs=outputs, parameters=parameters)


def test_the_server_and_its_models_are_live_and_ready(platform):
    async def over_rest(client, url):
        assert await client.is_server_live(url) and await client.is_server_ready(url)
        assert await client.is_model_ready(url, "late")

    async def by_grpc(client):
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("late")
        assert not await client.is_model_ready("lake")

    rest(platform, over_rest)
    over_grpc(platform, by_grpc)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("port", ["rest", "grpc"])
def test_numbers_in_one_tensor_are_answered_as_by_the_native_api(platform, native, wide, port, binary):
    expected = [row["prediction"] for row in native("late", {f"x{number}": wide[:, number] for number in range(28)})]
    asked = request("late", {"input": wide}, binary)
    if port == "rest":
        answer = rest(platform, lambda client, url: client.infer(url, asked, model_name="late"))
    else:
        answer = over_grpc(platform, lambda client: client.infer(asked))

    assert (answer.id, answer.model_name) == ("r-7", "late")
    # over REST the client drops the version
    assert port == "rest" or answer.model_version == "1"
    output = next(output for output in answer.outputs if output.name == "prediction")
    assert (output.shape, output.datatype) == ([100], "FP64")
    np.testing.assert_array_equal(output.as_numpy(), expected)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("port", ["rest", "grpc"])
def test_named_inputs_of_four_types_are_answered_with_classes(platform, native, mixed, port, binary):
    expected = native("season", mixed)
    asked = request("season", mixed, binary)
    if port == "rest":
        answer = rest(platform, lambda client, url: client.infer(url, asked, model_name="season"))
    else:
        answer = over_grpc(platform, lambda client: client.infer(asked))

    outputs = {output.name: output.as_numpy() for output in answer.outputs}
    as_text = [name.decode() if isinstance(name, bytes) else name for name in outputs["class"].tolist()]
    assert as_text == [row["class"] for row in expected]
    np.testing.assert_array_equal(outputs["probabilities"], [row["probabilities"] for row in expected])


def test_outputs_may_be_asked_for_as_bytes(platform, native, wide):
    expected = [row["prediction"] for row in native("late", {f"x{number}": wide[:, number] for number in range(28)})]
    for how in ({"parameters": {"binary_data_output": True}}, {"outputs": [RequestedOutput("prediction", {"binary_data": True})]}):
        seen = {}
        asked = request("late", {"input": wide}, True, **how)
        answer = rest(
            platform, lambda client, url: client.infer(url, asked, model_name="late", response_headers=seen)
        )
        assert int(seen["inference-header-content-length"]) > 0
        np.testing.assert_array_equal(answer.outputs[0].as_numpy(), expected)


def test_mistakes_are_told_in_the_protocols_own_form(platform, wide):
    asked = request("late", {"input": wide[:, :3].copy()}, True)
    with pytest.raises(httpx.HTTPStatusError) as over_rest:
        rest(platform, lambda client, url: client.infer(url, asked, model_name="late"))
    assert over_rest.value.response.status_code == 400
    assert "takes [rows, 28]" in str(over_rest.value)
    with pytest.raises(grpc.RpcError) as by_grpc:
        over_grpc(platform, lambda client: client.infer(asked))
    assert by_grpc.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "takes [rows, 28]" in by_grpc.value.details()


def test_the_repository_and_metadata_speak_the_messages_of_kserve(platform):
    async def ask(client):
        stub = client._client_stub
        about = await stub.ServerMetadata(ServerMetadataRequest())
        assert about.name == "mainspring" and "model_repository" in about.extensions
        late = await stub.ModelMetadata(ModelMetadataRequest(name="late"))
        assert (late.platform, len(late.inputs)) == ("mainspring", 28)
        loaded = await stub.RepositoryModelLoad(RepositoryModelLoadRequest(model_name="late"))
        assert (loaded.model_name, loaded.isLoaded) == ("late", True)
        with pytest.raises(grpc.RpcError) as declared:
            await stub.RepositoryModelUnload(RepositoryModelUnloadRequest(model_name="late"))
        assert "declared" in declared.value.details()

    over_grpc(platform, ask)


def test_the_example_runs(platform):
    script = pathlib.Path(__file__).parents[3] / "examples/clients/kserve.py"
    environment = {**os.environ, "MAINSPRING_URL": platform.url, "MAINSPRING_GRPC": platform.grpc}
    said = subprocess.run(
        [sys.executable, script, "price"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("price answers") == 2
