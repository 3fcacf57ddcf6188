"""Inference by Triton's client: the same numbers over every form and both ports."""

import queue

import grpc as plain
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from harness import PATIENCE, mainspring, waited

PORTS = {"http": over_http, "grpc": over_grpc}


@pytest.fixture(params=PORTS)
def port(request):
    """A client, and the module its tensors come from."""
    return request.getfixturevalue(request.param), PORTS[request.param]


def tensor(module, name, array, datatype=None, **how):
    made = module.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, **how)
    return made


def test_one_tensor_of_each_float_type_gives_the_numbers_of_the_native_api(port, wide, late):
    client, module = port
    assert late.max() > 0.6 and late.min() < 0.4, "the model has learned"
    for kind in (np.float64, np.float32):
        result = client.infer("late", [tensor(module, "input", wide.astype(kind))], request_id="r-1")

        answered = result.as_numpy("prediction")
        assert answered.dtype == np.float64 and answered.shape == (100,)
        np.testing.assert_array_equal(answered, late)
        response = result.get_response()
        if module is over_http:
            assert (response["id"], response["model_name"], response["model_version"]) == ("r-1", "late", "1")
        else:
            assert (response.id, response.model_name, response.model_version) == ("r-1", "late", "1")


def test_each_whole_number_and_short_float_type_means_its_numbers(port, native):
    client, module = port
    zeros_and_ones = np.random.default_rng(3).integers(0, 2, (16, 28))
    columns = {f"x{number}": zeros_and_ones[:, number].astype(float) for number in range(28)}
    expected = np.array([row["prediction"] for row in native("late", columns)])
    assert len(set(expected)) > 1
    for kind in "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split():
        result = client.infer("late", [tensor(module, "input", zeros_and_ones.astype(kind))])
        np.testing.assert_array_equal(result.as_numpy("prediction"), expected, err_msg=kind)
    brain = tensor(module, "input", zeros_and_ones.astype(ml_dtypes.bfloat16))
    np.testing.assert_array_equal(client.infer("late", [brain]).as_numpy("prediction"), expected)


@pytest.mark.parametrize("in_binary", [True, False])
@pytest.mark.parametrize("out_binary", [True, False])
def test_http_takes_and_gives_json_and_bytes_in_every_combination(http, native, mixed, in_binary, out_binary):
    expected = native("season", mixed)
    inputs = [tensor(over_http, name, array, binary_data=in_binary) for name, array in mixed.items()]
    names = ["class", "probabilities", "prediction", "prediction_id"]
    outputs = [over_http.InferRequestedOutput(name, binary_data=out_binary) for name in names]

    result = http.infer("season", inputs, outputs=outputs)

    classes = [name.decode() if isinstance(name, bytes) else name for name in result.as_numpy("class")]
    assert classes == [row["class"] for row in expected]
    np.testing.assert_array_equal(result.as_numpy("probabilities"), [row["probabilities"] for row in expected])
    np.testing.assert_array_equal(result.as_numpy("prediction"), [row["prediction"] for row in expected])
    assert len(set(result.as_numpy("prediction_id"))) == 50
    has_bytes = ["binary_data_size" in output.get("parameters", {}) for output in result.get_response()["outputs"]]
    assert has_bytes == [out_binary] * 4


def test_several_inputs_of_several_types_are_told_apart_by_name(port, platform, native, mixed):
    client, module = port
    for model, most in [("season", 1.0), ("price", 3000.0)]:
        expected = native(model, mixed)
        inputs = [tensor(module, name, array) for name, array in reversed(mixed.items())]

        result = client.infer(model, inputs, model_version="1")

        answered = result.as_numpy("prediction")
        np.testing.assert_array_equal(answered, [row["prediction"] for row in expected])
        assert answered.max() <= most
    right = np.mean([name.decode() == given for name, given in zip(client.infer(
        "season", [tensor(module, name, array) for name, array in mixed.items()]
    ).as_numpy("class"), platform.rows["season"])])
    assert right > 0.9, "the model has learned"


def test_narrow_types_fit_inputs_of_wider_ones(port, native, mixed):
    client, module = port
    expected = [row["prediction"] for row in native("price", mixed)]
    narrow = {
        "city": np.array([name.encode() for name in mixed["city"]], dtype=object).reshape(-1, 1),
        "nights": mixed["nights"].astype(np.uint8).reshape(-1, 1),
        "breakfast": mixed["breakfast"].astype(np.int32),
        "distance": mixed["distance"],
    }
    result = client.infer("price", [tensor(module, name, array) for name, array in narrow.items()])
    np.testing.assert_array_equal(result.as_numpy("prediction"), expected)


def test_what_is_not_known_is_not_a_number(port, native, wide):
    client, module = port
    unknown = wide[:5].copy()
    unknown[:, ::3] = np.nan
    columns = {f"x{number}": unknown[:, number].astype(object) for number in range(28)}
    for column in columns.values():
        column[np.isnan(column.astype(float))] = None
    expected = [row["prediction"] for row in native("late", columns)]
    for kind in (np.float64, np.float32):
        result = client.infer("late", [tensor(module, "input", unknown.astype(kind))])
        np.testing.assert_array_equal(result.as_numpy("prediction"), expected)
        if module is over_http:
            # Triton's client writes not-a-number into the JSON, and Triton reads it
            in_json = tensor(module, "input", unknown.astype(kind), binary_data=False)
            np.testing.assert_array_equal(client.infer("late", [in_json]).as_numpy("prediction"), expected)


def test_named_numbers_answer_as_one_tensor_does(port, wide, late):
    client, module = port
    named = [tensor(module, f"x{number}", wide[:, number].copy()) for number in range(28)]
    np.testing.assert_array_equal(client.infer("late", named).as_numpy("prediction"), late)


def test_only_the_outputs_asked_for_come(port, wide):
    client, module = port
    outputs = [module.InferRequestedOutput("prediction_id"), module.InferRequestedOutput("class")]
    result = client.infer("late", [tensor(module, "input", wide[:3])], outputs=outputs)
    assert result.as_numpy("prediction") is None
    assert [len(each) for each in result.as_numpy("prediction_id")] == [36] * 3
    assert set(result.as_numpy("class")) <= {b"false", b"true"}
    twice = client.infer("late", [tensor(module, "input", wide[:3])], outputs=outputs * 2).get_response()
    listed = twice["outputs"] if module is over_http else twice.outputs
    names = [output["name"] if module is over_http else output.name for output in listed]
    assert names == ["prediction_id", "class"]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_http_bodies_may_be_compressed(http, wide, late, algorithm):
    result = http.infer("late", [tensor(over_http, "input", wide)], request_compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("prediction"), late)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_grpc_messages_may_be_compressed(grpc, wide, late, algorithm):
    result = grpc.infer("late", [tensor(over_grpc, "input", wide)], compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("prediction"), late)


def test_requests_may_be_under_way_side_by_side(http, grpc, wide, late):
    handles = [http.async_infer("late", [tensor(over_http, "input", wide)]) for _ in range(20)]
    for handle in handles:
        np.testing.assert_array_equal(handle.get_result().as_numpy("prediction"), late)
    answers = queue.Queue()
    for _ in range(20):
        grpc.async_infer(
            "late", [tensor(over_grpc, "input", wide)], callback=lambda result, error: answers.put((result, error))
        )
    for _ in range(20):
        result, error = answers.get(timeout=PATIENCE)
        assert error is None
        np.testing.assert_array_equal(result.as_numpy("prediction"), late)


def test_a_batch_of_a_thousand_rows_and_one_of_none(port, wide, late):
    client, module = port
    result = client.infer("late", [tensor(module, "input", np.tile(wide, (20, 1)))])
    np.testing.assert_array_equal(result.as_numpy("prediction"), np.tile(late, 20))
    assert client.infer("late", [tensor(module, "input", wide[:0])]).as_numpy("prediction").shape == (0,)


def test_predictions_of_both_ports_are_in_the_log(platform, port, wide):
    client, module = port
    outputs = [module.InferRequestedOutput("prediction_id")]
    identifiers = client.infer("late", [tensor(module, "input", wide[:2])], outputs=outputs).as_numpy("prediction_id")
    wanted = {identifier.decode() for identifier in identifiers}

    def logged():
        # the first predictions make the table
        if '"predictions.late"' in mainspring(platform.folder, "list", "tables", "--json"):
            query = "select prediction_id from predictions.late"
            ids = mainspring(platform.folder, "query", query, "--json", "--limit", "100000")
            return all(identifier in ids for identifier in wanted)

    waited(logged)


class TestStream:
    """`ModelStreamInfer`."""

    def run(self, grpc, requests):
        answers = []
        grpc.start_stream(callback=lambda result, error: answers.append((result, error)))
        try:
            for number, (model, inputs, more) in enumerate(requests):
                grpc.async_stream_infer(model, inputs, request_id=str(number), **more)
        finally:
            grpc.stop_stream()
        return answers

    def test_answers_come_in_the_order_of_the_requests(self, grpc, wide, late):
        requests = [("late", [tensor(over_grpc, "input", wide[at : at + 1])], {}) for at in range(100)]
        answers = self.run(grpc, requests)
        assert [error for _, error in answers] == [None] * 100
        assert [result.get_response().id for result, _ in answers] == [str(number) for number in range(100)]
        np.testing.assert_array_equal([result.as_numpy("prediction")[0] for result, _ in answers], late)

    def test_a_request_that_fails_does_not_end_the_stream(self, grpc, wide):
        good = ("late", [tensor(over_grpc, "input", wide[:1])], {})
        answers = self.run(grpc, [good, ("nothing", good[1], {}), good])
        assert [error is None for _, error in answers] == [True, False, True]
        assert "there is no endpoint `nothing`" in answers[1][1].message()

    def test_the_last_response_to_a_request_is_marked_when_asked_for(self, grpc, wide):
        more = {"enable_empty_final_response": True}
        [(result, error)] = self.run(grpc, [("late", [tensor(over_grpc, "input", wide[:1])], more)])
        assert error is None
        assert result.get_response().parameters["triton_final_response"].bool_param


class TestMistakes:
    """Each is told in the protocol's own form, and names what is wrong."""

    STATUS = {"http": {"invalid": "400", "missing": "404", "large": "413"}}
    STATUS["grpc"] = {
        "invalid": "StatusCode.INVALID_ARGUMENT",
        "missing": "StatusCode.NOT_FOUND",
        "large": "StatusCode.OUT_OF_RANGE",
    }

    @pytest.mark.parametrize("name", PORTS)
    def test_mistakes(self, request, name, wide, mixed):
        client, module = request.getfixturevalue(name), PORTS[name]
        good = lambda: tensor(module, "input", wide[:2])

        def short():
            made = module.InferInput("input", [2, 28], "FP64")
            made.set_data_from_numpy(wide[:2])
            if name == "http":
                made._raw_data = made._raw_data[:-8]
                made._parameters["binary_data_size"] -= 8
            else:
                made._raw_content = made._raw_content[:-8]
            return made

        for kind, words, ask in [
            ("missing", "did you mean `late`?", lambda: client.infer("lake", [good()])),
            ("missing", "it serves version 1", lambda: client.infer("late", [good()], model_version="9")),
            ("invalid", "takes [rows, 28]", lambda: client.infer("late", [tensor(module, "input", wide[:2, :5].copy())])),
            ("invalid", "no input `inputs`", lambda: client.infer("late", [tensor(module, "inputs", wide[:2])])),
            ("invalid", "which takes 448 bytes; it has 440", lambda: client.infer("late", [short()])),
            ("invalid", "has no output `logits`", lambda: client.infer(
                "late", [good()], outputs=[module.InferRequestedOutput("logits")])),
            ("invalid", "`city` is missing", lambda: client.infer("season", [tensor(module, "nights", mixed["nights"])])),
            ("invalid", "the model takes string", lambda: client.infer("season", [
                tensor(module, each, mixed["distance"] if each == "city" else array) for each, array in mixed.items()])),
            ("invalid", "rows, input", lambda: client.infer("season", [
                tensor(module, each, array[: 50 if each == "city" else 49]) for each, array in mixed.items()])),
            ("invalid", "`as_of` is", lambda: client.infer("late", [good()], parameters={"as_of": "yesterday"})),
            ("large", "more than the 10000 rows", lambda: client.infer("late", [tensor(module, "input", np.zeros((10_001, 28), np.float32))])),
            ("invalid", "classification", lambda: client.infer(
                "late", [good()], outputs=[module.InferRequestedOutput("class", class_count=2)])),
        ]:
            with pytest.raises(InferenceServerException) as refused:
                ask()
            assert words in refused.value.message(), words
            assert refused.value.status() == self.STATUS[name][kind], words
        # and the server is as it was
        assert client.infer("late", [good()]).as_numpy("prediction").shape == (2,)

    def test_a_message_over_the_limit_is_refused(self, grpc):
        huge = tensor(over_grpc, "input", np.zeros((200_000, 28), np.float64))
        with pytest.raises(InferenceServerException, match="(?i)too large"):
            grpc.infer("late", [huge])
        assert grpc.is_server_live()

    def test_typed_contents_answer_in_typed_contents(self, grpc, wide, late):
        from tritonclient.grpc import service_pb2

        request = service_pb2.ModelInferRequest(model_name="late")
        made = request.inputs.add(name="input", datatype="FP64", shape=[100, 28])
        made.contents.fp64_contents.extend(wide.flatten())
        response = grpc._client_stub.ModelInfer(request)
        assert not response.raw_output_contents
        np.testing.assert_array_equal(response.outputs[0].contents.fp64_contents, late)

        season = service_pb2.ModelInferRequest(model_name="season")
        for name, datatype, field, value in [
            ("city", "BYTES", "bytes_contents", b"Rome"),
            ("nights", "INT8", "int_contents", 3),
            ("breakfast", "BOOL", "bool_contents", True),
            ("distance", "FP32", "fp32_contents", 2.5),
        ]:
            made = season.inputs.add(name=name, datatype=datatype, shape=[1])
            getattr(made.contents, field).append(value)
        outputs = {output.name: output for output in grpc._client_stub.ModelInfer(season).outputs}
        assert outputs["class"].contents.bytes_contents[0] == b"summer"
        assert outputs["probabilities"].shape == [1, 3]
        season.inputs[1].contents.int_contents[0] = 300
        with pytest.raises(plain.RpcError) as refused:
            grpc._client_stub.ModelInfer(season)
        assert refused.value.code() == plain.StatusCode.INVALID_ARGUMENT
        assert "element 0 is 300, which is out of its range" in refused.value.details()
