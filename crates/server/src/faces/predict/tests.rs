use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::faces::BODY_BYTES_MAX;
use crate::faces::testing::{declared, faces};

const FARE: &str = "/api/v1/endpoints/fare/predict";
const ROW: &str = r#"{"rows":[{"carrier":"DL","seats":180}]}"#;

#[tokio::test]
async fn rows_are_answered_with_version_identifier_and_prediction() {
    let faces = faces().await;

    let answered = faces.post(FARE, ROW).await;

    assert_eq!(answered.status, 200);
    let prediction = &answered.body["predictions"][0];
    assert_eq!(prediction["prediction"], 1000.0 + 180.0 + 30.0);
    assert_eq!(prediction["prediction_id"].as_str().unwrap().len(), 36);
    assert!(prediction.get("class").is_none() && prediction.get("probabilities").is_none());
    let head = (&answered.body["model"], &answered.body["version"], &answered.body["degraded"]);
    assert_eq!(head, (&json!("fare"), &json!(3), &json!(false)));
}

#[tokio::test]
async fn classes_come_with_their_probabilities() {
    let faces = faces().await;

    let answered = faces.post("/api/v1/endpoints/cause/predict", r#"{"rows":[{"flight":"UA1"},{}]}"#).await;

    let second = &answered.body["predictions"][1];
    assert_eq!((&second["prediction"], &second["class"]), (&json!(0.5), &json!("weather")));
    assert_eq!(second["probabilities"], json!([0.25, 0.5, 0.25]));
}

#[tokio::test]
async fn each_refusal_is_a_problem_with_its_status() {
    let faces = faces().await;
    let many = format!(r#"{{"rows":[{}]}}"#, vec![r#"{"carrier":"DL","seats":1}"#; 101].join(","));
    for (path, body, status, words) in [
        (FARE, "", 400, "cannot be read"),
        (FARE, "{\"rows\":[{\"carrier\":", 400, "EOF"),
        (FARE, r#"{"rows":[{"carier":"DL"}]}"#, 400, "did you mean `carrier`?"),
        (FARE, r#"{"rows":[{"carrier":"DL","seats":"many"}]}"#, 400, "not a whole number"),
        (FARE, many.as_str(), 413, "more than the 100 rows"),
        ("/api/v1/endpoints/fair/predict", ROW, 404, "did you mean `fare`?"),
    ] {
        let answered = faces.post(path, body.to_owned()).await;

        assert_eq!(answered.status, status, "{:?}", answered.body);
        assert_eq!(answered.body["status"], status);
        let detail = answered.body["detail"].as_str().unwrap();
        assert!(detail.contains(words), "expected `{words}` in: {detail}");
    }
    let large = faces.post(FARE, vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert_eq!(large.status, 413);
}

#[tokio::test]
async fn an_endpoint_that_is_full_says_when_to_come_again() {
    let faces = faces().await;
    faces.deploy_fare(declared("fare", |it| it.limits.concurrency = 0)).await;

    let answered = faces.post(FARE, ROW).await;

    assert_eq!((answered.status.as_u16(), answered.retry_after.as_deref()), (429, Some("1")));
}

#[tokio::test]
async fn nobody_and_those_who_may_not_are_turned_away_before_the_body_is_looked_at() {
    let faces = faces().await;
    let request = || Request::post(FARE).body(Body::from("no JSON at all")).unwrap();

    assert_eq!(faces.send_as(None, request()).await.status, 401);
    assert_eq!(faces.send_as(Some("mallory"), request()).await.status, 403);
}

#[tokio::test]
async fn a_denied_prediction_is_written_down_and_nothing_else_is() {
    let faces = faces().await;
    for path in [FARE, "/v2/models/fare/infer", "/v2/models/fare/versions/3/infer"] {
        let request = || Request::post(path).body(Body::from(ROW)).unwrap();

        faces.send_as(Some("ada"), request()).await;
        faces.send_as(None, request()).await;
        let before = faces.take_denied();
        assert_eq!(faces.send_as(Some("mallory"), request()).await.status, 403);

        assert!(before.is_empty(), "{path}: {before:?}");
        assert_eq!(faces.take_denied(), ["user:mallory endpoint.predict endpoint:fare"], "{path}");
    }
    let look = Request::get("/v2/models/fare").body(Body::empty()).unwrap();
    assert_eq!(faces.send_as(Some("mallory"), look).await.status, 403);
    assert!(faces.take_denied().is_empty());
}
