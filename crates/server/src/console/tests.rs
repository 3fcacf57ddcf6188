//! Pages over nothing: a server on an empty folder has something friendly to say everywhere.

use askama::Template;

use super::page::{Block, Document, Frame, Page};
use super::{overview, words};
use crate::views::Overview;

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
