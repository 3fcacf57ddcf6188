"""What the server says of itself: health, metadata, configuration, statistics, repository, reflection; and who may ask."""

import contextlib
import gzip
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys

import grpc as plain
import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from tritonclient.utils import InferenceServerException

from harness import BINARY, PATIENCE, Server, mainspring

SERVICE = "inference.GRPCInferenceService"


@pytest.fixture(params=["http", "grpc"])
def client(request):
    return request.getfixturevalue(request.param)


def as_dictionary(answer):
    return answer if isinstance(answer, (dict, list)) else MessageToDict(answer, preserving_proto_field_name=True)


def test_the_server_and_its_models_are_live_and_ready(client):
    assert client.is_server_live() and client.is_server_ready()
    for model in ("late", "season", "price"):
        assert client.is_model_ready(model) and client.is_model_ready(model, "1")


def test_a_model_or_version_that_is_not_there_is_not_ready(client):
    assert not client.is_model_ready("lake")
    assert not client.is_model_ready("late", "9")


def test_the_server_names_its_extensions(client):
    about = as_dictionary(client.get_server_metadata())
    assert about["name"] == "mainspring" and about["version"]
    assert {"binary_tensor_data", "model_repository", "statistics"} <= set(about["extensions"])


def test_a_model_describes_its_tensors(client):
    season = as_dictionary(client.get_model_metadata("season", "1"))
    assert (season["versions"], season["platform"]) == (["1"], "mainspring")
    tensors = {tensor["name"]: (tensor["datatype"], [int(length) for length in tensor["shape"]]) for tensor in season["inputs"]}
    assert tensors == {
        "city": ("BYTES", [-1]),
        "nights": ("INT64", [-1]),
        "breakfast": ("BOOL", [-1]),
        "distance": ("FP64", [-1]),
    }
    outputs = {tensor["name"]: [int(length) for length in tensor["shape"]] for tensor in season["outputs"]}
    assert outputs == {"prediction": [-1], "class": [-1], "probabilities": [-1, 3], "prediction_id": [-1]}


def test_a_model_has_a_configuration(client):
    late = as_dictionary(client.get_model_config("late"))
    late = late.get("config", late)
    assert (late["name"], late["backend"], len(late["input"])) == ("late", "mainspring", 28)
    assert late["input"][0]["data_type"] == "TYPE_FP64"


def test_statistics_count_what_was_asked(client, http, wide):
    def figures():
        [stats] = as_dictionary(client.get_inference_statistics("late"))["model_stats"]
        success = stats["inference_stats"]["success"]
        return int(stats["inference_count"]), int(success["count"]), int(success["ns"]), int(stats["last_inference"])

    tensor = over_http.InferInput("input", [3, 28], "FP64").set_data_from_numpy(wide[:3])
    http.infer("late", [tensor])
    before = figures()
    http.infer("late", [tensor])
    after = figures()
    assert after[0] == before[0] + 3 and after[1] == before[1] + 1
    assert after[2] > before[2] and after[3] >= before[3] > 1_600_000_000_000
    assert len(as_dictionary(client.get_inference_statistics())["model_stats"]) == 3


def index_of(client, **how):
    index = as_dictionary(client.get_model_repository_index(**how))
    models = index.get("models", []) if isinstance(index, dict) else index
    return {(model["name"], model.get("version", ""), model["state"]) for model in models}


SERVED = {("late", "1", "READY"), ("season", "1", "READY"), ("price", "1", "READY")}


def test_the_repository_lists_the_models_and_refuses_what_it_does_not_have(client):
    assert index_of(client) == SERVED | {("spare", "", "UNAVAILABLE")}
    client.load_model("late")
    for ask in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException) as refused:
            ask("nothing")
        assert refused.value.status() in ("404", "StatusCode.NOT_FOUND")
    with pytest.raises(InferenceServerException, match="declared"):
        client.unload_model("late")
    with pytest.raises(InferenceServerException, match="without parameters"):
        client.load_model("spare", config='{"max_batch_size": 8}')
    assert client.is_model_ready("late")


def test_a_registered_model_is_loaded_asked_and_unloaded(platform, client, http):
    client.load_model("spare")
    assert client.is_model_ready("spare")
    assert index_of(client) == SERVED | {("spare", "1", "READY")}
    tensor = over_http.InferInput("distance", [2], "FP64").set_data_from_numpy(np.array([1.0, 2.0]))
    answered = http.infer("spare", [tensor]).as_numpy("prediction")
    assert np.isclose(answered, platform.rows["price"].mean(), rtol=0.1).all()
    client.unload_model("spare")
    assert index_of(client) == SERVED | {("spare", "", "UNAVAILABLE")}
    with pytest.raises(InferenceServerException):
        http.infer("spare", [tensor])


@pytest.fixture
def channel(platform):
    with plain.insecure_channel(platform.grpc) as channel:
        yield channel


class TestStandardServices:
    """gRPC's own."""

    def test_health_is_told_of_the_server_and_of_each_service(self, channel):
        stub = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        for service in ("", SERVICE):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == serving
        assert next(stub.Watch(health_pb2.HealthCheckRequest())).status == serving
        with pytest.raises(plain.RpcError) as unknown:
            stub.Check(health_pb2.HealthCheckRequest(service="nothing"))
        assert unknown.value.code() == plain.StatusCode.NOT_FOUND

    def test_reflection_shows_the_services_and_their_messages(self, channel):
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
        pool = DescriptorPool(database)
        ours = pool.FindServiceByName(SERVICE)
        theirs = over_grpc.service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        for name, method in ours.methods_by_name.items():
            peer = theirs.methods_by_name[name]
            for mine, its in [(method.input_type, peer.input_type), (method.output_type, peer.output_type)]:
                for field in mine.fields:
                    # KServe's client reads these where Triton's has nothing
                    if its.name in ("RepositoryModelLoadResponse", "RepositoryModelUnloadResponse"):
                        continue
                    same = its.fields_by_name[field.name]
                    assert (field.number, field.type) == (same.number, same.type), (mine.name, field.name)

    def test_both_versions_of_reflection_are_there(self, channel):
        for version in ("v1", "v1alpha"):
            call = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            [answer] = list(call(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
            assert SERVICE in {service.name for service in answer.list_services_response.service}

    @pytest.mark.parametrize("method", [f"/{SERVICE}/ModelExplain", "/nothing.Of/That"])
    def test_a_method_that_is_not_there_is_unimplemented_and_named(self, channel, method):
        call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(plain.RpcError) as refused:
            call(b"")
        assert refused.value.code() == plain.StatusCode.UNIMPLEMENTED
        assert refused.value.details().startswith(f"{method} is not served here"), refused.value.details()

    def test_what_is_left_out_is_named_to_its_client(self, grpc):
        for ask, method in [
            (grpc.get_system_shared_memory_status, "SystemSharedMemoryStatus"),
            (grpc.get_cuda_shared_memory_status, "CudaSharedMemoryStatus"),
            (grpc.get_trace_settings, "TraceSetting"),
            (grpc.get_log_settings, "LogSettings"),
        ]:
            with pytest.raises(InferenceServerException, match=f"/{SERVICE}/{method} is not served here") as refused:
                ask()
            assert refused.value.status() == "StatusCode.UNIMPLEMENTED"


class TestWhoMayAsk:
    """The one guard, before both ports."""

    def test_a_wrong_key_is_refused_and_a_caller_may_predict_only(self, platform, wide):
        tensor = over_grpc.InferInput("input", [1, 28], "FP64").set_data_from_numpy(wide[:1])
        with over_grpc.InferenceServerClient(platform.grpc) as client:
            with pytest.raises(InferenceServerException) as refused:
                client.infer("late", [tensor], headers={"authorization": "Bearer ms_wrong"})
            assert refused.value.status() == "StatusCode.UNAUTHENTICATED"
            as_website = {"authorization": f"Bearer {platform.keys['website']}"}
            assert client.infer("late", [tensor], headers=as_website).as_numpy("prediction").shape == (1,)

    def test_a_wrong_key_is_refused_over_http_in_words_that_the_client_reads(self, http):
        for ask in [http.get_server_metadata, lambda headers: http.get_model_metadata("late", headers=headers)]:
            with pytest.raises(InferenceServerException) as refused:
                ask(headers={"authorization": "Bearer ms_wrong"})
            assert refused.value.status() == "401"
            assert "key" in refused.value.message() and "decoding" not in refused.value.message()

    def test_who_is_denied_a_prediction_is_left_in_the_audit_log_on_both_ports(self, platform, http, grpc, wide):
        headers = {"authorization": f"Bearer {platform.keys['blocked']}"}
        ports = [(http, over_http, "403"), (grpc, over_grpc, "StatusCode.PERMISSION_DENIED")]
        for client, module, status in ports:
            tensor = module.InferInput("input", [1, 28], "FP64").set_data_from_numpy(wide[:1])
            with pytest.raises(InferenceServerException, match="the policy `blocked gets no predictions`") as refused:
                client.infer("late", [tensor], headers=dict(headers))  # the client adds its own
            assert refused.value.status() == status
            client.infer("late", [tensor])
        answers = []
        with over_grpc.InferenceServerClient(platform.grpc) as client:
            client.start_stream(callback=lambda result, error: answers.append(error), headers=headers)
            client.async_stream_infer("late", [tensor])
            client.stop_stream()
        assert "endpoint.predict" in answers[0].message()

        entries = json.loads(mainspring(platform.folder, "list", "audit", "endpoint:late", "--json"))
        entries = [entry for entry in entries if entry["action"] == "endpoint.predict"]
        assert [(entry["principal"]["name"], entry["outcome"]) for entry in entries] == [("blocked", "denied")], (
            "once, however often and wherever it is tried within a minute"
        )

    def test_a_public_address_without_a_key_is_refused(self, tmp_path):
        for words in (["--grpc", "0.0.0.0:0"], ["--grpc", "[::]:0"]):
            said = subprocess.run(
                [BINARY, "-C", tmp_path, "serve", "--listen", "127.0.0.1:0", *words],
                capture_output=True, text=True, timeout=PATIENCE,
            )
            assert said.returncode != 0
            assert "can be reached from other machines" in said.stderr and "key create" in said.stderr

    def test_without_the_flag_there_is_no_grpc_port(self, tmp_path):
        with Server(tmp_path / "empty") as server:
            assert server.grpc is None

    def test_an_empty_folder_serves_grpc_too(self, tmp_path):
        with Server(tmp_path / "empty", "--grpc", "127.0.0.1:0") as server:
            with over_grpc.InferenceServerClient(server.grpc) as client:
                assert client.is_server_live()
                assert as_dictionary(client.get_model_repository_index()) == {}


class TestHostileHttp:
    """Bodies that no client library would send."""

    def post(self, platform, body: bytes, path="/v2/models/late/infer", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=PATIENCE)
        connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["error"]

    def test_each_is_refused_by_name(self, platform, wide):
        head = json.dumps({"inputs": [
            {"name": "input", "datatype": "FP64", "shape": [1, 28], "parameters": {"binary_data_size": 224}}
        ]}).encode()
        row = wide[:1].tobytes()
        length = str(len(head))
        for status, words, body, headers in [
            (400, "EOF", head[:-4], {}),
            (400, "whole body has", head, {"Inference_Header_Content_Length": "9999"}),
            (400, "no number of bytes", head + row, {"Inference_Header_Content_Length": "-1"}),
            (400, "0 bytes are left", head, {"Inference_Header_Content_Length": length}),
            (400, "8 bytes are left after", head + row + b"12345678", {"Inference_Header_Content_Length": length}),
            (400, "trailing", head + row, {}),
            (400, "which takes 224 bytes; it has 216", head.replace(b"224", b"216") + row[8:], {"Inference_Header_Content_Length": length}),
            (400, "both `data` and", head.replace(b'"datatype"', b'"data": [1], "datatype"'), {}),
            (400, "no `data`", b'{"inputs": [{"name": "input", "datatype": "FP64", "shape": [1, 28]}]}', {}),
            (400, "invalid type: sequence", b'{"inputs": ' + b"[" * 100_000, {}),
            (400, "recursion limit", b'{"inputs": [{"name": "input", "datatype": "FP64", "shape": [1], "data": ' + b"[" * 100_000, {}),
            (415, "content-type is `text/html`", head, {"Content_Type": "text/html; charset=utf-8"}),
            (415, "content-encoding", head, {"Content_Encoding": "br"}),
            (400, "not what its content-encoding says", head, {"Content_Encoding": "gzip"}),
            (413, "larger than", b" " * ((32 << 20) + 1), {}),
        ]:
            answered = self.post(platform, body, **headers)
            assert answered[0] == status and words in answered[1], (words, answered)
        assert self.post(platform, b"", path="/v2/repository/nothing")[0] == 404

    def test_a_small_body_that_would_become_a_huge_one_is_refused(self, platform):
        before = platform.resident_bytes()
        bomb = gzip.compress(b" " * (256 << 20), compresslevel=1)
        status, words = self.post(platform, bomb, Content_Encoding="gzip")
        assert status == 413 and "larger than" in words
        assert platform.resident_bytes() < before + (200 << 20)

    def test_bytes_that_are_not_http_2_close_the_connection_and_nothing_else(self, platform, grpc):
        host, port = platform.grpc.split(":")
        for junk in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096):
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
                with contextlib.suppress(ConnectionResetError):
                    connection.sendall(junk)
                    while connection.recv(4096):
                        pass
        assert grpc.is_server_live()


def test_the_example_runs(platform):
    script = pathlib.Path(__file__).parents[3] / "examples/clients/triton.py"
    environment = {**os.environ, "MAINSPRING_URL": platform.url, "MAINSPRING_GRPC": platform.grpc}
    said = subprocess.run(
        [sys.executable, script, "season"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("season answers") == 2
