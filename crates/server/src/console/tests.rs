//! Pages over nothing: a server on an empty folder has something friendly to say everywhere.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use mainspring_registry::{DatasetInput, Environment, LoggedModel, Run};
use serde_json::json;

use super::page::{Block, Document, Frame, Page};
use super::{overview, runs, words};
use crate::views::{Curve, ExperimentSeen, NotFinite, Overview, RunAround, RunDetail, RunView};

fn shown(page: Page) -> String {
    let frame = Frame { project: "empty".into(), principal: "user:local".into(), pages: vec![] };
    Document { frame, page }.render().unwrap()
}

#[test]
fn the_overview_of_nothing_has_eight_tiles() {
    let page = Page::new("Overview", "").with(overview::tiles(&Overview::default()));
    let text = shown(page);
    assert_eq!(text.matches("class=\"tile\"").count(), 8);
    assert!(!text.contains("NaN") && !text.contains("<script>"), "{text}");
}

#[test]
fn the_overview_groups_its_numbers() {
    let seen = Overview { predictions: 37_805, endpoints: 1, live: 1, ..Overview::default() };
    let text = shown(Page::new("Overview", "").with(overview::tiles(&seen)));
    assert!(text.contains(&words::count(37_805)) && text.contains("live"));
}

#[test]
fn only_pages_with_charts_load_the_chart_script() {
    assert!(!shown(Page::new("a", "b")).contains("plotly"));
    let figure = super::chart::Chart::new("c", "C").figure();
    let page = Page::new("a", "b").with(Block::Figures(vec![figure]));
    let text = shown(page);
    let (plotly, app) = (text.find("/assets/plotly.js").unwrap(), text.find("/assets/app.js").unwrap());
    assert!(plotly < app, "charts are drawn when their script is there");
}

/// A run of MLflow's client, as the catalog keeps it.
fn clients_run() -> Run {
    let document = json!({
        "id": "0199aaaa00007000800000000000beef",
        "experiment": "28",
        "name": "brave-owl-7",
        "origin": "client",
        "user": "ada",
        "model": null,
        "parent": null,
        "status": "succeeded",
        "params": { "depth": "7" },
        "tags": {
            "team": "blue",
            "mlflow.note.content": "Tries a deeper tree",
            "mlflow.source.name": "train.py",
            "mlflow.runName": "brave-owl-7",
        },
        "by": { "kind": "user", "name": "local" },
        "started_at": "2026-11-27T01:00:00Z",
        "ended_at": "2026-11-27T01:02:00Z",
        "commit": null,
        "environment": Environment { os: String::new(), arch: String::new(), ..Environment::current() },
        "metrics": { "my_score": 0.4567, "accuracy": 0.8 },
        "version": null,
        "error": null,
    });
    serde_json::from_value(document).unwrap()
}

/// The same, of which two metrics are no finite numbers.
fn diverged_run() -> RunView {
    let last =
        [("loss", NotFinite { value: f64::NAN, step: 7 }), ("norm", NotFinite { value: f64::INFINITY, step: 9 })];
    let not_finite = last.map(|(metric, last)| (metric.to_owned(), last)).into();
    RunView { not_finite, ..clients_run().into() }
}

fn clients_experiment() -> ExperimentSeen {
    ExperimentSeen { key: "28".into(), name: "owls <at> night".into(), number: Some(28) }
}

#[test]
fn the_page_of_a_clients_run_shows_all_that_was_logged() {
    let input = DatasetInput {
        name: "owl-train".into(),
        digest: "d1gest".into(),
        tags: [("mlflow.data.context".to_owned(), "training".to_owned())].into(),
    };
    let model: LoggedModel = serde_json::from_value(json!({
        "id": "m-77", "experiment": "28", "name": "owl-tree", "run": null, "status": "ready", "artifact_uri": "x",
        "created_at": "2026-11-27T01:01:00Z", "updated_at": "2026-11-27T01:01:00Z",
        "by": { "kind": "user", "name": "local" },
    }))
    .unwrap();
    let mut started = clients_run();
    started.name = Some("deeper-owl".into());
    let around = RunAround {
        experiment: clients_experiment(),
        files: vec![("plots/roc curve.png".into(), 2_048)],
        has_more_files: false,
        elsewhere: None,
        datasets: vec![(input, None)],
        models_read: vec![],
        models_made: vec![(model, 3)],
        registered: vec![("owl/tree".into(), 12)],
        nested: vec![started.into()],
    };
    let curves = vec![Curve { key: "my_score".into(), points: vec![(1, 0.5), (12, 0.4567)] }];
    let detail = RunDetail { view: diverged_run(), curves, evaluation: None };

    let text = shown(runs::page(&detail, &around, &BTreeSet::new()));

    for there in [
        "<h1>brave-owl-7</h1>",
        "Tries a deeper tree",
        "owls &#60;at&#62; night",
        "/runs?experiment=28",
        "<code>my_score</code>",
        "0.4567",
        "at step 12",
        "<code>loss</code>",
        "NaN",
        "at step 7",
        "∞",
        "<code>accuracy</code>",
        "<code>depth</code>",
        "<code>team</code>",
        "train.py",
        "ada",
        "plots/roc curve.png",
        "path=plots%2Froc%20curve%2Epng",
        "2.0 KiB",
        "owl-train",
        "training",
        "owl-tree",
        r#"<a href="/models/owl%2Ftree">owl/tree 12</a>"#,
        "Runs it started",
        "deeper-owl",
    ] {
        assert!(text.contains(there), "{there:?} is not in\n{text}");
    }
    for untrue in ["on the test rows", "Made by", "A run of"] {
        assert!(!text.contains(untrue), "{untrue:?} is in\n{text}");
    }
}

#[test]
fn the_list_of_runs_shows_names_and_any_metric() {
    let view = RunView::from(clients_run());
    let experiments = BTreeMap::from([("28".to_owned(), clients_experiment())]);

    let text = Block::Table(runs::runs_table(&[view], &experiments)).render().unwrap();

    for there in ["brave-owl-7", "owls &#60;at&#62; night", "my score", "0.4567", "accuracy"] {
        assert!(text.contains(there), "{there:?} is not in\n{text}");
    }
}

#[test]
fn metrics_that_are_no_finite_numbers_are_in_lists_comparisons_and_json() {
    let detail = |view| RunDetail { view, curves: vec![], evaluation: None };
    let experiments = BTreeMap::new();

    let listed = Block::Table(runs::runs_table(&[diverged_run()], &experiments)).render().unwrap();
    let compared = shown(runs::comparison(Page::new("", ""), &[detail(diverged_run()), detail(clients_run().into())]));
    let sent = serde_json::to_value(detail(diverged_run())).unwrap();

    for text in [&listed, &compared] {
        for there in ["loss", "NaN", "norm", "∞", "0.4567"] {
            assert!(text.contains(there), "{there:?} is not in\n{text}");
        }
    }
    let last = json!({ "loss": { "value": "NaN", "step": 7 }, "norm": { "value": "Infinity", "step": 9 } });
    assert_eq!(sent["not_finite"], last);
    assert_eq!(serde_json::to_value(diverged_run()).unwrap()["not_finite"], last, "in lists as of one run");
}
