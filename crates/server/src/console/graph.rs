//! The lineage graph as SVG: what was made from what, from left to right.
//!
//! A node's column is the length of the longest way to it; what only starts ways stands right before the first thing made
//! of it. Within a column nodes are put near the middle of their neighbours, in a few sweeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::picture::{Picture, escape};
use super::words;
use crate::views::Lineage;

const NODE: (f64, f64) = (150.0, 38.0);
/// As many characters of a name as a node has room for.
const CHARACTERS: usize = 20;
const GAP: (f64, f64) = (34.0, 12.0);
/// Larger graphs are cut: nobody reads them.
const NODES_MAX: usize = 120;
const SWEEPS: usize = 6;

/// The columns of a graph's nodes, each from top to bottom.
#[must_use]
pub fn columns(lineage: &Lineage) -> Vec<Vec<&str>> {
    let nodes: BTreeSet<&str> = lineage.nodes.iter().map(String::as_str).take(NODES_MAX).collect();
    let edges: Vec<(&str, &str)> = lineage
        .edges
        .iter()
        .map(|edge| (edge.from.as_str(), edge.to.as_str()))
        .filter(|(from, to)| from != to && nodes.contains(from) && nodes.contains(to))
        .collect();
    let mut depth: BTreeMap<&str, usize> = nodes.iter().map(|node| (*node, 0)).collect();
    // as many rounds as nodes: enough for the longest way, and an end should there be a circle
    for _ in 0..nodes.len() {
        let mut changed = false;
        for (from, to) in &edges {
            let wanted = depth.get(from).copied().unwrap_or(0) + 1;
            if depth.get(to).is_some_and(|now| *now < wanted) && wanted < nodes.len() {
                depth.insert(to, wanted);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    for node in &nodes {
        if edges.iter().all(|(_, to)| to != node) {
            let nearest = edges.iter().filter(|(from, _)| from == node).filter_map(|(_, to)| depth.get(to)).min();
            if let Some(nearest) = nearest.copied() {
                depth.insert(node, nearest.saturating_sub(1));
            }
        }
    }
    let width = depth.values().max().map_or(0, |deepest| deepest + 1);
    let mut columns: Vec<Vec<&str>> = vec![vec![]; width];
    for (node, column) in &depth {
        if let Some(column) = columns.get_mut(*column) {
            column.push(node);
        }
    }
    for sweep in 0..SWEEPS {
        arrange(&mut columns, &edges, sweep.is_multiple_of(2));
    }
    columns
}

/// Sorts each column by the middle of the neighbours on one side.
fn arrange(columns: &mut [Vec<&str>], edges: &[(&str, &str)], from_left: bool) {
    let place: BTreeMap<&str, f64> = columns
        .iter()
        .flat_map(|column| column.iter().enumerate().map(|(at, node)| (*node, middle(at, column.len()))))
        .collect();
    for column in columns {
        let mut keyed: Vec<(f64, &str)> = column
            .iter()
            .map(|node| {
                let beside: Vec<f64> = edges
                    .iter()
                    .filter_map(|(from, to)| match from_left {
                        true => (to == node).then_some(from),
                        false => (from == node).then_some(to),
                    })
                    .filter_map(|other| place.get(other).copied())
                    .collect();
                let own = place.get(node).copied().unwrap_or(0.0);
                let mean = beside.iter().sum::<f64>() / words::number(beside.len() as u64);
                (if beside.is_empty() { own } else { mean }, *node)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        *column = keyed.into_iter().map(|(_, node)| node).collect();
    }
}

/// How far down its column a node is, with the column's middle at 0.
fn middle(at: usize, of: usize) -> f64 {
    words::number(at as u64) - words::number(of as u64 - 1) / 2.0
}

/// Draws a graph; `link` says where a node leads.
#[must_use]
pub fn draw(lineage: &Lineage, link: impl Fn(&str) -> Option<String>) -> Picture {
    let columns = columns(lineage);
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(0);
    if tallest == 0 {
        return Picture::default();
    }
    let height = words::number(tallest as u64) * (NODE.1 + GAP.1) + 8.0;
    let width = words::number(columns.len() as u64) * (NODE.0 + GAP.0) - GAP.0 + 4.0;
    let mut at: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (index, column) in columns.iter().enumerate() {
        for (row, node) in column.iter().enumerate() {
            let x = 2.0 + words::number(index as u64) * (NODE.0 + GAP.0);
            let y = height / 2.0 + middle(row, column.len()) * (NODE.1 + GAP.1) - NODE.1 / 2.0;
            at.insert(node, (x, y));
        }
    }
    let mut drawn = String::new();
    for edge in &lineage.edges {
        let ends = (at.get(edge.from.as_str()), at.get(edge.to.as_str()));
        let (Some((x0, y0)), Some((x1, y1))) = ends else { continue };
        let (from, to) = ((x0 + NODE.0, y0 + NODE.1 / 2.0), (*x1, y1 + NODE.1 / 2.0));
        let bend = f64::midpoint(from.0, to.0);
        let _infallible = write!(
            drawn,
            r#"<path d="M{:.1} {:.1}C{bend:.1} {:.1} {bend:.1} {:.1} {:.1} {:.1}"><title>{}</title></path>"#,
            from.0,
            from.1,
            from.1,
            to.1,
            to.0,
            to.1,
            escape(&edge.kind)
        );
    }
    for (node, (x, y)) in &at {
        let (kind, name) = node.split_once(':').unwrap_or(("", node));
        let class = if *node == lineage.node { " class=\"here\"" } else { "" };
        let shape = format!(
            r#"<g{class}><title>{}</title><rect x="{x:.1}" y="{y:.1}" width="{}" height="{}" rx="6"/><text class="kind" x="{:.1}" y="{:.1}">{}</text><text x="{:.1}" y="{:.1}">{}</text></g>"#,
            escape(node),
            NODE.0,
            NODE.1,
            x + 9.0,
            y + 14.0,
            escape(&kind.replace('_', " ")),
            x + 9.0,
            y + 29.0,
            escape(&short(kind, name))
        );
        let _infallible = match link(node) {
            Some(href) => write!(drawn, r#"<a href="{}">{shape}</a>"#, escape(&href)),
            None => write!(drawn, "{shape}"),
        };
    }
    Picture(format!(
        r#"<svg class="graph" viewBox="0 0 {width} {height}" style="--width:{width}px" role="img" aria-label="Lineage">{drawn}</svg>"#
    ))
}

/// A name that fits a node: files, jobs and the datasets of others by their last part, runs by the end of their identifier.
fn short(kind: &str, name: &str) -> String {
    match kind {
        "file" | "dataset" | "job" => words::cut(name.rsplit('/').next().unwrap_or(name), CHARACTERS),
        "run" => format!("…{}", name.chars().skip(name.chars().count().saturating_sub(8)).collect::<String>()),
        "table" => cut_before_version(name.split_once('.').map_or(name, |(_, table)| table)),
        "commit" => words::cut(name, 13),
        _ => cut_before_version(name),
    }
}

/// A name that is cut to fit a node, but keeps its version.
fn cut_before_version(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((stem, version)) => {
            let room = CHARACTERS.saturating_sub(version.chars().count() + 1);
            format!("{}@{version}", words::cut(stem, room))
        }
        None => words::cut(name, CHARACTERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::LineageEdge;

    fn lineage(edges: &[(&str, &str)]) -> Lineage {
        let edge =
            |(from, to): &(&str, &str)| LineageEdge { from: (*from).into(), to: (*to).into(), kind: "reads".into() };
        Lineage {
            node: "model:m@1".into(),
            nodes: edges.iter().flat_map(|(from, to)| [(*from).to_owned(), (*to).to_owned()]).collect(),
            edges: edges.iter().map(edge).collect(),
        }
    }

    #[test]
    fn things_stand_right_of_what_they_were_made_from() {
        let graph = lineage(&[
            ("file:a", "table:sources.a@0"),
            ("table:sources.a@0", "table:features.v@0"),
            ("feature_view:v", "table:features.v@0"),
            ("table:features.v@0", "model:m@1"),
            ("table:sources.a@0", "model:m@1"),
        ]);

        let shown = columns(&graph);

        assert_eq!(shown[0], ["file:a"]);
        assert!(shown[1].contains(&"table:sources.a@0") && shown[1].contains(&"feature_view:v"));
        assert_eq!(shown[2], ["table:features.v@0"]);
        assert_eq!(shown[3], ["model:m@1"]);
    }

    #[test]
    fn a_circle_ends() {
        let circle = lineage(&[("a:1", "b:2"), ("b:2", "a:1")]);

        let shown = columns(&circle);

        assert_eq!(shown.iter().map(Vec::len).sum::<usize>(), 2);
    }

    #[test]
    fn nodes_link_where_they_lead_and_are_escaped() {
        let graph = lineage(&[("file:<b>", "model:m@1")]);
        let drawn = draw(&graph, |node| node.starts_with("model").then(|| "/models/m".to_owned())).0;
        assert_eq!(drawn.matches("<a href=\"/models/m\">").count(), 1);
        assert_eq!(drawn.matches("<path").count(), 1);
        assert!(!drawn.contains("<b>"));
    }

    #[test]
    fn names_fit_their_nodes_and_keep_their_version() {
        assert_eq!(short("model", "owl nests in boxes (LightGBM)@12"), "owl nests in box…@12");
        assert_eq!(short("table", "features.carrier_departures@0"), "carrier_departures@0");
        assert_eq!(short("commit", "481967735257115c20902a1f425afea2a694edbc"), "481967735257…");
        assert_eq!(short("file", "data/2026/a.csv"), "a.csv");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let nothing = Lineage { node: String::new(), nodes: BTreeSet::new(), edges: vec![] };
        assert_eq!(draw(&nothing, |_| None), Picture::default());
    }
}
