//! Charts as Plotly's JSON, each with the table of its data. Colours are names of the stylesheet: the script puts the
//! page's own in their place.

use serde_json::{Map, Value, json};

use super::page::{Cell, Figure, Heading, Table};

/// A line, or bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line, also over what is missing: of what is measured now and then, the measurements are joined.
    Line,
    /// A line with points.
    Points,
    /// Upright bars.
    Bars,
    /// Bars from left to right, with what they stand for beside them.
    Across,
}

/// Values over the chart's x.
#[derive(Debug, Clone)]
pub struct Series {
    name: String,
    values: Vec<Option<f64>>,
    mark: Mark,
}

impl Series {
    /// Values under a name.
    pub fn new(name: impl Into<String>, mark: Mark, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        Self { name: name.into(), values: values.into_iter().collect(), mark }
    }
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    id: String,
    title: String,
    note: String,
    is_small: bool,
    x_title: String,
    x: Vec<(Value, Cell)>,
    series: Vec<Series>,
    traces: Vec<Value>,
    layout: Map<String, Value>,
    shapes: Vec<Value>,
}

impl Chart {
    /// A chart without data.
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            note: String::new(),
            is_small: false,
            x_title: String::new(),
            x: vec![],
            series: vec![],
            traces: vec![],
            layout: Map::new(),
            shapes: vec![],
        }
    }

    /// What to see in it.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Less high.
    pub fn small(mut self) -> Self {
        self.is_small = true;
        self
    }

    /// What runs from left to right.
    pub fn x(mut self, title: impl Into<String>, values: impl IntoIterator<Item = (Value, Cell)>) -> Self {
        self.x_title = title.into();
        self.x.extend(values);
        self
    }

    /// Words from left to right.
    pub fn words(self, title: impl Into<String>, values: impl IntoIterator<Item = String>) -> Self {
        self.axis("xaxis", json!({"type": "category"}))
            .x(title, values.into_iter().map(|word| (json!(word), Cell::text(word))))
    }

    /// Numbers from left to right.
    pub fn numbers(self, title: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        self.x(title, values.into_iter().map(|number| (json!(number), Cell::figure(number))))
    }

    /// What is seen.
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Something to compare with, which is not part of the data.
    pub fn guide(mut self, name: &str, x: [f64; 2], y: [f64; 2]) -> Self {
        self.traces.push(json!({
            "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "hoverinfo": "skip",
            "line": {"dash": "dot", "width": 1, "color": "--soft"},
        }));
        self
    }

    /// A bound across the chart.
    pub fn bound(mut self, at: f64) -> Self {
        self.shapes.push(json!({
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at,
            "line": {"dash": "dot", "width": 1.5, "color": "--bad"},
        }));
        self
    }

    /// Bars of one place stand before each other: the later ones are parts of the first.
    pub fn overlaid(mut self) -> Self {
        self.layout.insert("barmode".into(), "overlay".into());
        self
    }

    /// Settings of an axis.
    pub fn axis(mut self, axis: &str, settings: Value) -> Self {
        let known = self.layout.entry(axis).or_insert_with(|| json!({}));
        if let (Some(known), Some(more)) = (known.as_object_mut(), settings.as_object()) {
            known.extend(more.clone());
        }
        self
    }

    /// The name of the axis to the left.
    pub fn y(self, title: &str) -> Self {
        self.axis("yaxis", json!({"title": {"text": title}}))
    }

    /// The chart with its table.
    pub fn figure(mut self) -> Figure {
        let is_across = self.series.iter().any(|series| series.mark == Mark::Across);
        if is_across {
            let upright = json!({"type": "category", "autorange": "reversed", "dtick": 1, "tickfont": {"size": 11}});
            self = self.axis("yaxis", upright);
            self.layout.insert("hovermode".into(), "y".into());
        } else if !self.x_title.is_empty() {
            let title = json!({"title": {"text": self.x_title}});
            self = self.axis("xaxis", title);
        }
        let x: Vec<&Value> = self.x.iter().map(|(value, _)| value).collect();
        let mut traces: Vec<Value> = self.series.iter().map(|series| trace(series, &x)).collect();
        traces.append(&mut self.traces);
        let mut layout = self.layout;
        if !self.shapes.is_empty() {
            layout.insert("shapes".into(), self.shapes.into());
        }
        layout.insert("showlegend".into(), (traces.len() > 1).into());
        let headings = std::iter::once(Heading { name: self.x_title, is_number: false });
        let named = self.series.iter().map(|series| Heading { name: series.name.clone(), is_number: true });
        let rows = self.x.iter().enumerate().map(|(row, (_, cell))| {
            let values = self.series.iter().map(|series| series.values.get(row).copied().flatten());
            std::iter::once(cell.clone()).chain(values.map(|value| Cell::maybe(value, Cell::figure))).collect()
        });
        let table = Table { headings: headings.chain(named).collect(), rows: rows.collect(), ..Table::new(&[]) };
        Figure {
            spec: embedded(&json!({"data": traces, "layout": layout})),
            id: self.id,
            title: self.title,
            note: self.note,
            is_small: self.is_small,
            table,
        }
    }
}

fn trace(series: &Series, x: &[&Value]) -> Value {
    let is_alone = series.values.iter().flatten().count() == 1;
    let mut trace = match series.mark {
        // a line of one value would not be seen
        Mark::Line if is_alone => json!({"type": "scatter", "mode": "markers"}),
        Mark::Line => json!({"type": "scatter", "mode": "lines", "line": {"width": 2}, "connectgaps": true}),
        Mark::Points => json!({"type": "scatter", "mode": "lines+markers", "line": {"width": 2}}),
        Mark::Bars => json!({"type": "bar", "opacity": 0.75}),
        Mark::Across => json!({"type": "bar", "opacity": 0.75, "orientation": "h"}),
    };
    if let Some(trace) = trace.as_object_mut() {
        trace.insert("name".into(), series.name.clone().into());
        let (across, up) = if series.mark == Mark::Across { ("y", "x") } else { ("x", "y") };
        trace.insert(across.into(), json!(x));
        trace.insert(up.into(), json!(series.values));
    }
    trace
}

/// JSON that may stand in a script element: nothing in it ends the element or begins a comment.
fn embedded(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Figure {
        Chart::new("c", "Title")
            .words("month", ["</script><b>".to_owned(), "2013-08".to_owned()])
            .series(Series::new("psi", Mark::Points, [Some(0.1), None]))
            .series(Series::new("rows", Mark::Bars, [Some(5.0), Some(6.0)]))
            .bound(0.2)
            .figure()
    }

    #[test]
    fn data_cannot_leave_its_element() {
        let figure = chart();
        assert!(!figure.spec.contains('<'));
        let read: Value = serde_json::from_str(&figure.spec).unwrap();
        assert_eq!(read["data"][0]["x"][0], "</script><b>");
    }

    #[test]
    fn every_value_is_in_the_table_too() {
        let figure = chart();
        assert_eq!(figure.table.headings.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["month", "psi", "rows"]);
        assert_eq!(figure.table.rows.len(), 2);
        assert!(figure.table.rows.iter().all(|row| row.len() == 3));
        assert!(matches!(figure.table.rows[1][1], Cell::Empty));
    }

    #[test]
    fn what_is_measured_now_and_then_is_seen() {
        let chart = Chart::new("c", "Loss").numbers("step", [0.0, 1.0, 2.0]);
        let chart = chart.series(Series::new("train", Mark::Line, [Some(0.3), None, Some(0.1)]));
        let chart = chart.series(Series::new("test", Mark::Line, [None, Some(0.2), None]));

        let read: Value = serde_json::from_str(&chart.figure().spec).unwrap();

        assert_eq!((&read["data"][0]["mode"], &read["data"][0]["connectgaps"]), (&json!("lines"), &json!(true)));
        assert_eq!(read["data"][1]["mode"], "markers");
    }

    #[test]
    fn bounds_and_marks_are_laid_out() {
        let read: Value = serde_json::from_str(&chart().spec).unwrap();
        assert_eq!(read["layout"]["shapes"][0]["y0"], 0.2);
        assert_eq!(read["layout"]["showlegend"], true);
        assert_eq!(
            (read["data"][0]["mode"].as_str(), read["data"][1]["type"].as_str()),
            (Some("lines+markers"), Some("bar"))
        );
    }
}
