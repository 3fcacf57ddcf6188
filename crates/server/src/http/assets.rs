//! The console's files, built into the binary: nothing is fetched from outside.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

/// Plotly's script as its crate carries it: the first of its script tags.
static PLOTLY: LazyLock<String> = LazyLock::new(|| {
    let tags = plotly::Plot::offline_js_sources();
    let script = tags.split_once('>').and_then(|(_, rest)| rest.split_once("</script>"));
    script.map(|(script, _)| script.to_owned()).unwrap_or_default()
});

/// Answers `/assets/{name}`.
pub async fn asset(Path(name): Path<String>) -> Response {
    let (kind, body): (&str, &'static str) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", include_str!("../../assets/style.css")),
        "app.js" => ("text/javascript; charset=utf-8", include_str!("../../assets/app.js")),
        "icon.svg" => ("image/svg+xml", include_str!("../../assets/icon.svg")),
        "plotly.js" => ("text/javascript; charset=utf-8", PLOTLY.as_str()),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    // an hour: the files change only with the binary
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=3600")], body).into_response()
}

/// Answers `/favicon.ico`, which browsers ask for beside what names no icon of its own, as an artifact.
pub async fn icon() -> Response {
    asset(Path("icon.svg".to_owned())).await
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_chart_script_is_there_and_is_one_script() {
        assert!(super::PLOTLY.len() > 1_000_000);
        assert!(!super::PLOTLY.contains("</script>"));
    }
}
