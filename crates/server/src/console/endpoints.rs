//! `/endpoints`: what answers; `/endpoints/{e}`: traffic, latency, how to ask.

use axum::extract::Path;
use axum::http::{HeaderMap, header};

use super::chart::{Chart, Mark, Series};
use super::models::in_address;
use super::page::{Block, Cell, Page, Table, Tile, Tone};
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, EndpointDetail, EndpointView};

/// Answers `GET /endpoints`.
pub async fn list(visit: Visit) -> Shown {
    visit.may_list().await?;
    let endpoints = visit.seen(views::endpoints(&visit.look, &views::Page::default()).await)?;
    let page = Page::new("Endpoints", "Stable names under which models answer, whichever version is live behind them")
        .with(Block::Table(endpoints_table(&endpoints)));
    visit.show(page)
}

fn live(endpoint: &EndpointView) -> Cell {
    match endpoint.version {
        Some(version) => Cell::tag(Tone::Good, format!("version {version}")),
        None => Cell::tag(Tone::Bad, "nothing live"),
    }
}

fn endpoints_table(endpoints: &[EndpointView]) -> Table {
    let rows = endpoints.iter().map(|endpoint| {
        let status = endpoint.status.as_ref();
        let latency = status.filter(|status| status.answered > 0);
        vec![
            Cell::link(format!("/endpoints/{}", endpoint.endpoint), &endpoint.endpoint),
            Cell::text(&endpoint.description),
            Cell::link(format!("/models/{}", in_address(&endpoint.model)), &endpoint.model),
            Cell::tag(Tone::Plain, &endpoint.alias),
            live(endpoint),
            Cell::count(endpoint.predictions),
            Cell::maybe(status, |status| Cell::count(status.answered)),
            Cell::maybe(latency, |status| Cell::span(words::number(status.latency_p50_us) / 1e6)),
            Cell::maybe(latency, |status| Cell::span(words::number(status.latency_p99_us) / 1e6)),
        ]
    });
    let headings = [
        "endpoint",
        "what",
        "model",
        "alias",
        "live",
        "#predictions logged",
        "#answered since start",
        "#half within",
        "#99% within",
    ];
    Table::new(&headings).rows(rows).or_else("No endpoint is there: a file under endpoints/ declares one, and `mainspring deploy` puts a registered model behind one")
}

/// Answers `GET /endpoints/{e}`.
pub async fn one(visit: Visit, Path(name): Path<String>, headers: HeaderMap) -> Shown {
    visit.may("endpoint.read", "endpoint", &name).await?;
    let endpoint = visit.seen(views::endpoint(&visit.look, &name).await)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:7878").to_owned();
    let is_declared = visit.look.project.models.contains_key(&endpoint.view.model);
    visit.show(page(&endpoint, &host, is_declared))
}

fn page(detail: &EndpointDetail, host: &str, is_declared: bool) -> Page {
    let view = &detail.view;
    // what answers is there, declared or registered
    let has_page = is_declared || view.version.is_some();
    let mut page = Page::new(&view.endpoint, view.description.trim()).under("Endpoints", "/endpoints");
    let version = match view.version {
        Some(version) => {
            Tile::new("Answers", format!("version {version}"), format!("the {} of {}", view.alias, view.model))
                .mark(Tone::Good, "live")
        }
        None => Tile::new("Answers", "nothing", format!("no version of {} is {}", view.model, view.alias))
            .mark(Tone::Bad, "not live"),
    };
    let mut tiles = vec![
        if has_page { version.to(format!("/models/{}", in_address(&view.model))) } else { version },
        Tile::new("Logged", words::count(view.predictions), "each with features, version, latency and caller")
            .unit("predictions"),
    ];
    if let Some(status) = &view.status {
        let refused = status.refused + status.failed;
        let note = format!("{} degraded, {} refused or failed", words::count(status.degraded), words::count(refused));
        tiles.push(Tile::new("Since the start", words::count(status.answered), note).unit("requests"));
        let (p50, p99) = (words::number(status.latency_p50_us) / 1e6, words::number(status.latency_p99_us) / 1e6);
        tiles.push(match status.answered {
            0 => Tile::new("99% within", "–", "nobody has asked since the start"),
            _ => Tile::new("99% within", words::span(p99), format!("half within {}", words::span(p50))),
        });
    }
    page = page.with(Block::Tiles(tiles));
    page = page.charts("Traffic", traffic(detail));
    let request = serde_json::json!({"rows": [detail.example]});
    let curl = format!(
        "curl -s http://{host}/api/v1/endpoints/{}/predict \\\n  -H 'content-type: application/json' \\\n  -d '{}'",
        view.endpoint,
        request.to_string().replace('\'', "'\\''")
    );
    let fields = detail.fields.iter().map(|field| {
        vec![
            Cell::Code(field.name.clone()),
            Cell::Soft(field.data_type.to_string()),
            Cell::maybe(detail.example.get(&field.name), |value| Cell::Code(value.to_string())),
        ]
    });
    let fields = Table::new(&["field", "type", "for example"]).rows(fields).or_else("It takes no fields");
    page = page.section("Ask it", Block::Pre(curl)).section("What a request brings", Block::Table(fields));
    let limits = &detail.limits;
    let versions = detail.by_version.iter().map(|(version, count)| vec![Cell::count(*version), Cell::count(*count)]);
    page.with(Block::Beside(vec![
        (
            "Predictions by version".into(),
            Block::Table(Table::new(&["#version", "#predictions"]).rows(versions).or_else("Nothing was predicted yet")),
        ),
        (
            "Bounds".into(),
            Block::Facts(vec![
                ("At once", Cell::Text(words::several(u64::from(limits.concurrency), "request", "requests"))),
                ("In one", Cell::Text(words::several(u64::from(limits.rows), "row", "rows"))),
                ("Within", Cell::Text(limits.timeout.to_string())),
            ]),
        ),
    ]))
}

fn traffic(detail: &EndpointDetail) -> Vec<super::page::Figure> {
    let buckets = &detail.traffic;
    if buckets.is_empty() {
        return vec![];
    }
    let times = || buckets.iter().map(|bucket| (serde_json::json!(bucket.at.to_string()), Cell::Time(bucket.at)));
    let every = format!("every {}", words::span(words::number(detail.bucket_seconds.unsigned_abs())));
    let millis = |micros: Option<f64>| micros.map(|micros| micros / 1e3);
    let count = |count: u64| Some(words::number(count));
    vec![
        Chart::new("predictions", "Predictions")
            .note(every.clone())
            .x("time (UTC)", times())
            .series(Series::new("predictions", Mark::Bars, buckets.iter().map(|bucket| count(bucket.predictions))))
            .series(Series::new("degraded", Mark::Bars, buckets.iter().map(|bucket| count(bucket.degraded))))
            .overlaid()
            .axis("xaxis", serde_json::json!({"type": "date"}))
            .figure(),
        Chart::new("latency", "Latency")
            .note(every)
            .x("time (UTC)", times())
            .series(Series::new(
                "half within, ms",
                Mark::Points,
                buckets.iter().map(|bucket| millis(bucket.latency_p50_us)),
            ))
            .series(Series::new(
                "99% within, ms",
                Mark::Points,
                buckets.iter().map(|bucket| millis(bucket.latency_p99_us)),
            ))
            .axis("xaxis", points_axis(detail))
            .axis("yaxis", serde_json::json!({"rangemode": "tozero", "title": {"text": "ms"}}))
            .figure(),
    ]
}

/// The time along points. Of one alone Plotly would show a thousandth of a second: it gets a bucket on each side.
fn points_axis(detail: &EndpointDetail) -> serde_json::Value {
    let [bucket] = detail.traffic.as_slice() else { return serde_json::json!({"type": "date"}) };
    let (at, width) = (bucket.at.as_millisecond(), detail.bucket_seconds.saturating_mul(1_000));
    serde_json::json!({"type": "date", "range": [at.saturating_sub(width), at.saturating_add(width)]})
}
