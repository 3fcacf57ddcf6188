use axum::body::Body;
use axum::http::Request;
use mainspring_features::Value;
use mainspring_serve::Given;
use serde_json::{Value as Json, json};

use super::{question, wire};
use crate::faces::BODY_BYTES_MAX;
use crate::faces::testing::{declared, faces};

const FARE: &str = "/v2/models/fare/infer";

fn tensor(name: &str, datatype: &str, shape: Json, data: Json) -> Json {
    json!({ "name": name, "datatype": datatype, "shape": shape, "data": data })
}

fn request(inputs: &[Json]) -> String {
    json!({ "inputs": inputs }).to_string()
}

/// All four inputs of `fare`, two rows.
fn named() -> Vec<Json> {
    vec![
        tensor("carrier", "BYTES", json!([2]), json!(["DL", "UA"])),
        tensor("seats", "INT32", json!([2, 1]), json!([[180], [90]])),
        tensor("wind", "FP32", json!([2]), json!([3, null])),
        tensor("holiday", "BOOL", json!([2]), json!([false, true])),
    ]
}

#[tokio::test]
async fn server_and_models_describe_themselves() {
    let faces = faces().await;

    assert_eq!(faces.get("/v2").await.body["name"], "mainspring");
    assert_eq!(faces.get("/v2/health/live").await.status, 200);
    assert_eq!(faces.get("/v2/health/ready").await.body, json!({ "ready": true }));
    assert_eq!(faces.get("/v2/models/fare/ready").await.body, json!({ "name": "fare", "ready": true }));
    assert_eq!(faces.get("/v2/models/fare/versions/3/ready").await.status, 200);
    assert_eq!(faces.get("/v2/models/fare/versions/4/ready").await.status, 404);
    let fare = faces.get("/v2/models/fare").await.body;
    assert_eq!(fare["versions"], json!(["3"]));
    assert_eq!(fare["inputs"][0], json!({ "name": "carrier", "datatype": "BYTES", "shape": [-1] }));
    assert_eq!(fare["inputs"][3]["datatype"], "BOOL");
    let cause = faces.get("/v2/models/cause/versions/12").await.body;
    let outputs: Vec<&str> = cause["outputs"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(outputs, ["prediction", "class", "probabilities", "prediction_id"]);
}

#[tokio::test]
async fn one_tensor_named_tensors_and_fields_ask_the_same() {
    let faces = faces().await;
    let numbers = [1.0, 180.0, 3.0, 0.0, 0.0, 90.0, 0.0, 1.0];
    let nested = json!([[1, 180, 3, 0], [0, 90, null, 1]]);
    let fields = [
        tensor("carrier", "BYTES", json!([2]), json!(["DL", "UA"])),
        tensor("seats", "INT64", json!([2]), json!([180, 90])),
    ];
    for (inputs, expected) in [
        (vec![tensor("input", "FP64", json!([2, 4]), json!(numbers))], json!([1210.0, 190.0])),
        (vec![tensor("input", "FP32", json!([2, 4]), nested.clone())], json!([1210.0, 190.0])),
        (vec![tensor("input", "INT64", json!([2, 4]), nested)], json!([1210.0, 190.0])),
        (named(), json!([1210.0, 190.0])),
        (fields.to_vec(), json!([1210.0, 120.0])),
    ] {
        let answered = faces.post(FARE, request(&inputs)).await;

        assert_eq!(answered.status, 200, "{:?}", answered.body);
        let output = &answered.body["outputs"][0];
        assert_eq!((&output["name"], &output["shape"]), (&json!("prediction"), &json!([2])));
        assert_eq!(output["data"], expected, "{inputs:?}");
    }
}

#[tokio::test]
async fn the_answer_names_request_model_and_version_and_has_the_outputs_asked_for() {
    let faces = faces().await;
    let inputs = json!([tensor("flight", "BYTES", json!([2]), json!(["UA1", "UA2"]))]);

    let all = json!({ "id": "7", "inputs": inputs }).to_string();
    let all = faces.post("/v2/models/cause/versions/12/infer", all).await.body;
    assert_eq!((&all["id"], &all["model_name"], &all["model_version"]), (&json!("7"), &json!("cause"), &json!("12")));
    assert_eq!(
        all["outputs"][1],
        json!({ "name": "class", "datatype": "BYTES", "shape": [2], "data": ["weather", "weather"] })
    );
    let shares = json!([0.25, 0.5, 0.25, 0.25, 0.5, 0.25]);
    assert_eq!((&all["outputs"][2]["shape"], &all["outputs"][2]["data"]), (&json!([2, 3]), &shares));

    let some = json!({ "inputs": inputs, "outputs": [{ "name": "prediction_id", "parameters": {} }] }).to_string();
    let some = faces.post("/v2/models/cause/infer", some).await.body;
    assert!(some.get("id").is_none());
    assert_eq!(some["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(some["outputs"][0]["data"][1].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn an_output_asked_for_twice_comes_once() {
    let faces = faces().await;
    let twice = json!([{ "name": "prediction" }, { "name": "prediction_id" }, { "name": "prediction" }]);

    let answered = faces.post(FARE, json!({ "inputs": named(), "outputs": twice }).to_string()).await.body;

    let outputs = answered["outputs"].as_array().unwrap();
    let names: Vec<&Json> = outputs.iter().map(|output| &output["name"]).collect();
    assert_eq!(names, ["prediction", "prediction_id"]);
}

#[tokio::test]
async fn not_a_number_in_json_is_what_null_is() {
    let faces = faces().await;
    let strict = json!({ "id": "NaN", "inputs": named() }).to_string();
    let loose = strict.replace("null", "NaN");
    assert_ne!(loose, strict);

    let answered = faces.post(FARE, loose).await;

    assert_eq!(answered.status, 200, "{:?}", answered.body);
    assert_eq!(answered.body["id"], "NaN");
    assert_eq!(answered.body["outputs"][0]["data"], json!([1210.0, 190.0]));

    let seats: Vec<u8> = [180i16, 90].iter().flat_map(|seats| seats.to_le_bytes()).collect();
    let mut inputs = named();
    inputs[1] = bytes_tensor("seats", "INT16", json!([2]), seats.len());
    let json = json!({ "inputs": inputs }).to_string().replace("null", "NaN");
    let mixed = Request::post(FARE).header("Inference-Header-Content-Length", json.len());
    let mixed = mixed.body(Body::from([json.as_bytes(), &seats].concat())).unwrap();

    let answered = faces.send_as(Some("ada"), mixed).await;

    assert_eq!(answered.body["outputs"][0]["data"], json!([1210.0, 190.0]), "{:?}", answered.body);
}

#[tokio::test]
async fn each_mistake_is_an_error_with_its_status() {
    let faces = faces().await;
    let one = |name, datatype, shape, data| request(&[tensor(name, datatype, shape, data)]);
    let without = |at: usize| {
        let mut inputs = named();
        inputs.remove(at);
        request(&inputs)
    };
    let with = |at: usize, tensor: Json| {
        let mut inputs = named();
        inputs[at] = tensor;
        request(&inputs)
    };
    for (body, status, words) in [
        (String::new(), 400, "EOF"),
        ("[]".to_owned(), 400, "not one of Open Inference Protocol V2"),
        ("{}".to_owned(), 400, "missing field `inputs`"),
        (request(&named())[..40].to_owned(), 400, "EOF"),
        (request(&[]), 400, "no inputs"),
        (one("input", "FP64", json!([1, 3]), json!([1, 2, 3])), 400, "the model takes [rows, 4]"),
        (one("input", "FP64", json!([1, 4]), json!([1, 2, 3])), 400, "the shape [1, 4] and 3 elements"),
        (one("input", "FP64", json!([2, 4]), json!([[1, 2, 3, 4, 5, 6, 7, 8]])), 400, "nested as [1, 8]"),
        (one("input", "FP64", json!([2, 4]), json!([[1, 2, 3, 4], [5, 6, 7]])), 400, "not equally long"),
        (one("input", "FP64", json!([1, 4]), json!([1, 2, 3, "x"])), 400, "element 3 is \"x\", not FP64"),
        (one("input", "BYTES", json!([1, 4]), json!(["a", "b", "c", "d"])), 400, "must be of numbers"),
        (one("input", "INT8", json!([1, 4]), json!([1, 300, 3, 0])), 400, "element 1 is 300, not INT8"),
        (one("input", "FP65", json!([1, 4]), json!([1, 2, 3, 4])), 400, "unknown variant `FP65`"),
        (one("input", "FP64", json!([-1, 4]), json!([1, 2, 3, 4])), 400, "-1"),
        (one("input", "FP64", json!([]), json!([1])), 400, "no shape"),
        (one("input", "FP64", json!([u64::MAX, u64::MAX]), json!([1])), 400, "must be its product"),
        (one("input", "FP64", json!([101, 4]), json!(vec![0; 404])), 413, "more than the 100 rows"),
        (one("carier", "BYTES", json!([1]), json!(["DL"])), 400, "did you mean `carrier`?"),
        (one("wind", "FP64", json!([1]), json!([1])), 400, "`carrier` is missing"),
        (one("seats", "INT64", json!([1]), json!([1])), 400, "`carrier` is missing"),
        (without(2), 400, "`wind` is missing"),
        (with(0, tensor("carrier", "FP64", json!([2]), json!([1, 0]))), 400, "the model takes string"),
        (with(1, tensor("seats", "FP64", json!([2]), json!([1.5, 2]))), 400, "the model takes int64"),
        (with(1, tensor("seats", "INT64", json!([3]), json!([1, 2, 3]))), 400, "has 3 rows"),
        (with(1, tensor("wind", "FP64", json!([2]), json!([1, 2]))), 400, "two inputs called `wind`"),
        (with(3, tensor("holiday", "BOOL", json!([2]), json!([1, 0]))), 400, "element 0 is 1, not BOOL"),
        (json!({ "inputs": named(), "outputs": [{ "name": "classes" }] }).to_string(), 400, "no output `classes`"),
        (
            json!({
                "inputs": named(),
                "outputs": [{ "name": "prediction", "parameters": { "classification": 2 } }],
            })
            .to_string(),
            400,
            "as the model has them: prediction, prediction_id",
        ),
        (json!({ "inputs": named(), "parameters": { "as_of": 7 } }).to_string(), 400, "`as_of` is 7"),
    ] {
        let answered = faces.post(FARE, body.clone()).await;

        assert_eq!(answered.status, status, "{body}: {:?}", answered.body);
        let error = answered.body["error"].as_str().unwrap();
        assert!(error.contains(words), "expected `{words}` in: {error}");
    }
}

#[tokio::test]
async fn refusals_around_the_body_have_their_status_too() {
    let faces = faces().await;
    let good = || request(&named());
    let error_of = |body: &Json| body["error"].as_str().map(str::to_owned).unwrap_or_default();

    let unknown = faces.post("/v2/models/fair/infer", good()).await;
    assert_eq!(unknown.status, 404);
    assert!(error_of(&unknown.body).contains("did you mean `fare`?"));

    let version = faces.post("/v2/models/fare/versions/9/infer", good()).await;
    assert_eq!(version.status, 404);
    assert!(error_of(&version.body).contains("it serves version 3"));

    assert_eq!(faces.post(FARE, vec![b' '; BODY_BYTES_MAX + 1]).await.status, 413);
    assert_eq!(faces.get(FARE).await.status, 405);
    assert_eq!(faces.get("/v2/repository").await.status, 404);

    let post = || Request::post(FARE).body(Body::from(good())).unwrap();
    assert_eq!(faces.send_as(None, post()).await.status, 401);
    assert_eq!(faces.send_as(Some("mallory"), post()).await.status, 403);

    faces.deploy_fare(declared("fare", |it| it.limits.concurrency = 0)).await;
    let full = faces.post(FARE, good()).await;
    assert_eq!((full.status.as_u16(), full.retry_after.as_deref()), (429, Some("1")));
}

#[tokio::test]
async fn a_fallback_is_marked_degraded_and_has_no_version() {
    let faces = faces().await;
    let declared = declared("fare", |it| {
        it.limits.timeout = mainspring_spec::Span::from_micros(0);
        it.fallback.constant = Some(99.0);
    });
    faces.deploy_fare(declared).await;

    let answered = faces.post(FARE, request(&named())).await;

    assert_eq!(answered.status, 200);
    assert_eq!(answered.body["parameters"], json!({ "degraded": true }));
    assert_eq!(answered.body["outputs"][0]["data"], json!([99.0, 99.0]));
    assert!(answered.body.get("model_version").is_none());
}

/// A request whose first tensors follow the JSON as bytes.
fn binary(json: &Json, bytes: &[u8]) -> Request<Body> {
    let json = json.to_string();
    let body = [json.as_bytes(), bytes].concat();
    Request::post(FARE).header("Inference-Header-Content-Length", json.len()).body(Body::from(body)).unwrap()
}

fn bytes_tensor(name: &str, datatype: &str, shape: Json, size: usize) -> Json {
    json!({ "name": name, "datatype": datatype, "shape": shape, "parameters": { "binary_data_size": size } })
}

#[tokio::test]
async fn tensors_come_and_go_as_bytes() {
    let faces = faces().await;
    let texts = [&[2, 0, 0, 0][..], b"DL", &[2, 0, 0, 0], b"UA"].concat();
    let seats: Vec<u8> = [180i16, 90].iter().flat_map(|seats| seats.to_le_bytes()).collect();
    let inputs = [
        bytes_tensor("carrier", "BYTES", json!([2]), texts.len()),
        bytes_tensor("seats", "INT16", json!([2, 1]), seats.len()),
        // forms may be mixed
        tensor("wind", "FP32", json!([2]), json!([3, null])),
        bytes_tensor("holiday", "BOOL", json!([2]), 2),
    ];
    let asked = json!({ "inputs": inputs, "parameters": { "binary_data_output": true } });

    let answered = faces.send_raw(binary(&asked, &[&texts[..], &seats, &[0, 1]].concat())).await;

    assert_eq!(answered.0, 200);
    let json_bytes: usize = answered.1["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let head: Json = serde_json::from_slice(&answered.2[..json_bytes]).unwrap();
    assert_eq!(head["outputs"][0]["parameters"], json!({ "binary_data_size": 16 }));
    assert!(head["outputs"][0].get("data").is_none());
    let numbers: Vec<f64> =
        answered.2[json_bytes..].as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    assert_eq!(numbers, [1210.0, 190.0]);
}

#[tokio::test]
async fn known_categories_are_read_as_numbers_and_others_keep_their_text() {
    let faces = faces().await;
    let deployed = faces.engine.endpoint("fare").unwrap().deployed();
    let given = |carriers: &[Option<&str>]| {
        let body = request(&[
            tensor("carrier", "BYTES", json!([2]), json!(carriers)),
            tensor("seats", "FP64", json!([2]), json!([180, 90])),
            tensor("wind", "FP32", json!([2]), json!([3, null])),
            tensor("holiday", "FP32", json!([2]), json!([0, 1])),
        ]);
        let read = wire::read(body.as_bytes(), None).unwrap();
        question::of(read.inputs, None, &deployed.plan, "fare", 100).unwrap().given
    };

    let Given::Numbers(known) = given(&[Some("DL"), None]) else { panic!("not numbers") };
    let Given::Inputs(unknown) = given(&[Some("DL"), Some("ZZ")]) else { panic!("not values") };

    assert_eq!(known[..4], [1.0, 180.0, 3.0, 0.0]);
    assert!(known[4].is_nan() && known[6].is_nan());
    assert!(matches!(&unknown[4], Value::Text(text) if text.as_ref() == "ZZ"));
}

#[tokio::test]
async fn each_mistake_in_bytes_is_refused_by_name() {
    let faces = faces().await;
    let row = [1.0f64, 180.0, 3.0, 0.0].map(f64::to_le_bytes).concat();
    let good = || json!({ "inputs": [bytes_tensor("input", "FP64", json!([1, 4]), 32)] });
    let of = |input: Json| json!({ "inputs": [input] });

    assert_eq!(faces.send_as(Some("ada"), binary(&good(), &row)).await.body["outputs"][0]["data"], json!([1210.0]));
    for (asked, bytes, words) in [
        (good(), &row[..24], "32, and 24 bytes are left"),
        (good(), &[&row[..], &[0; 8]].concat()[..], "8 bytes are left after the last input"),
        (of(bytes_tensor("input", "FP32", json!([1, 4]), 32)), &row, "which takes 16 bytes; it has 32"),
        (of(bytes_tensor("input", "FP64", json!([1, 4, u64::MAX]), 32)), &row, "more than can be"),
        (of(bytes_tensor("input", "BYTES", json!([1, 4]), 32)), &row, "no texts"),
        (of(json!({ "name": "input", "datatype": "FP64", "shape": [1, 4] })), &row, "no `data`"),
    ] {
        let answered = faces.send_as(Some("ada"), binary(&asked, bytes)).await;

        assert_eq!(answered.status, 400, "{:?}", answered.body);
        let error = answered.body["error"].as_str().unwrap();
        assert!(error.contains(words), "expected `{words}` in: {error}");
    }
}

#[tokio::test]
async fn named_numbers_are_checked_as_they_are_in_json() {
    let faces = faces().await;
    let halves = [0.5f64].map(f64::to_le_bytes).concat();
    let texts = [&[2, 0, 0, 0][..], b"DL"].concat();
    let inputs = [
        bytes_tensor("carrier", "BYTES", json!([1]), texts.len()),
        bytes_tensor("seats", "FP64", json!([1]), halves.len()),
        tensor("wind", "FP32", json!([1]), json!([3])),
        tensor("holiday", "BOOL", json!([1]), json!([false])),
    ];

    let answered = faces.send_as(Some("ada"), binary(&json!({ "inputs": inputs }), &[texts, halves].concat())).await;

    assert_eq!(answered.status, 400);
    assert!(answered.body["error"].as_str().unwrap().contains("element 0 is 0.5, the model takes int64"));
}

#[tokio::test]
async fn a_name_with_spaces_means_the_input_that_has_underscores_in_their_place() {
    let faces = faces().await;
    let deployed = faces.engine.endpoint("fare").unwrap().deployed();
    let mut plan = deployed.plan.clone();
    plan.inputs[1].name = "seats_(all)".into();
    let plan = mainspring_serve::Plan::new(plan.fields, plan.inputs, plan.features);
    let given = |name: &str| {
        let mut inputs = named();
        inputs[1]["name"] = name.into();
        let body = request(&inputs);
        let read = wire::read(body.as_bytes(), None).unwrap();
        question::of(read.inputs, None, &plan, "fare", 100).map(|question| question.rows)
    };

    assert_eq!(given("seats_(all)").unwrap(), 2);
    assert_eq!(given("seats (all)").unwrap(), 2);
    assert!(given("seats  (all)").unwrap_err().to_string().contains("no input `seats  (all)`"));
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_as_the_protocol_writes_errors() {
    let faces = faces().await;

    for answered in [
        faces.get("/v2/models/%E4").await,
        faces.get("/v2/models/fare/versions/%E4").await,
        faces.post("/v2/models/%E4/infer", request(&named())).await,
    ] {
        assert_eq!(answered.status, 400);
        assert!(answered.body["error"].as_str().unwrap().contains("UTF-8"), "{:?}", answered.body);
    }
}
