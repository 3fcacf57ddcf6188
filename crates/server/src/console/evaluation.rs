//! What the evaluation of a run shows: curves, calibration, importance, confusion, slices.

use mainspring_registry::{Confusion, CurvePoint, Evaluation, Importance, SliceReport};

use super::chart::{Chart, Mark, Series};
use super::page::{Block, Cell, Figure, Heading, Page, Table};
use super::runs::HEADLINES;
use super::words;

/// The most inputs whose importance is drawn.
const INPUTS_SHOWN: usize = 14;

/// Adds how a model did on the rows that it was tested on.
pub fn evaluated(mut page: Page, evaluation: &Evaluation) -> Page {
    for remark in &evaluation.remarks {
        page = page.with(Block::Note(remark.clone()));
    }
    let mut figures = vec![];
    if !evaluation.roc.is_empty() {
        let auc = evaluation.test.metrics.get("auc").map(|auc| format!("area {}", words::decimal(*auc, 4)));
        let chart = curve("roc", "ROC", "false positive rate", "true positive rate", &evaluation.roc);
        figures.push(chart.note(auc.unwrap_or_default()).guide("chance", [0.0, 1.0], [0.0, 1.0]).figure());
    }
    if !evaluation.precision_recall.is_empty() {
        let chart =
            curve("precision-recall", "Precision and recall", "recall", "precision", &evaluation.precision_recall);
        let share = evaluation.test.mean_label.unwrap_or(0.0);
        figures.push(chart.guide("chance", [0.0, 1.0], [share, share]).figure());
    }
    if !evaluation.calibration.is_empty() {
        let bins = &evaluation.calibration;
        let chart = Chart::new("calibration", "Calibration")
            .note("on the dotted line, what is said is what happens")
            .numbers("predicted", bins.iter().map(|bin| bin.predicted))
            .series(Series::new("observed", Mark::Points, bins.iter().map(|bin| Some(bin.observed))))
            .guide("perfect", [0.0, 1.0], [0.0, 1.0])
            .y("observed");
        figures.push(chart.figure());
    }
    if let Some(residuals) = &evaluation.residuals {
        let middle = |bin: usize| residuals.from + residuals.width * (words::number(bin as u64) + 0.5);
        let chart = Chart::new("residuals", "Residuals")
            .numbers("label less prediction", (0..residuals.counts.len()).map(middle))
            .series(Series::new("rows", Mark::Bars, residuals.counts.iter().map(|count| Some(words::number(*count)))));
        figures.push(chart.figure());
    }
    if !evaluation.importance.is_empty() {
        figures.push(importance(&evaluation.importance));
    }
    page = page.charts("On the test rows", figures);
    if let Some(confusion) = &evaluation.confusion {
        page = page.section("Confusion", Block::Table(confusion_table(confusion)));
    }
    if !evaluation.by_class.is_empty() {
        let rows = evaluation.by_class.iter().map(|class| {
            let figures = [class.precision, class.recall, class.f1].map(|value| Cell::decimal(value, 4));
            [Cell::text(&class.class), Cell::count(class.rows)].into_iter().chain(figures).collect()
        });
        let table = Table::new(&["class", "#rows", "#precision", "#recall", "#F1"]).rows(rows);
        page = page.section("By class", Block::Table(table));
    }
    if evaluation.slices.is_empty() {
        return page;
    }
    page.section("By slice", Block::Table(slices_table(&evaluation.slices)))
}

fn curve(id: &str, title: &str, x: &str, y: &str, points: &[CurvePoint]) -> Chart {
    Chart::new(id, title)
        .numbers(x, points.iter().map(|point| point.x))
        .series(Series::new(y, Mark::Line, points.iter().map(|point| Some(point.y))))
        .y(y)
}

fn importance(shares: &[Importance]) -> Figure {
    let mut shares: Vec<&Importance> = shares.iter().collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares.truncate(INPUTS_SHOWN);
    Chart::new("importance", "What it looks at")
        .note("each input's share of the gain")
        .x("input", shares.iter().map(|input| (serde_json::json!(input.input), Cell::Code(input.input.clone()))))
        .series(Series::new("share", Mark::Across, shares.iter().map(|input| Some(input.share))))
        .axis("xaxis", serde_json::json!({"tickformat": ".0%"}))
        .figure()
}

fn confusion_table(confusion: &Confusion) -> Table {
    let classes = confusion.classes.iter();
    let first = Heading { name: "actually".into(), is_number: false };
    let headings = classes.map(|class| Heading { name: format!("said {class}"), is_number: true });
    let most = confusion.counts.iter().flatten().max().copied().unwrap_or(0).max(1);
    let rows = confusion.classes.iter().zip(&confusion.counts).map(|(class, counts)| {
        let cells = counts.iter().map(|count| {
            let number = words::number(*count);
            Cell::Heat(number / words::number(most), words::count(*count), number)
        });
        std::iter::once(Cell::text(class)).chain(cells).collect()
    });
    Table { headings: std::iter::once(first).chain(headings).collect(), ..Table::new(&[]) }.rows(rows)
}

fn slices_table(slices: &[SliceReport]) -> Table {
    let named: Vec<&str> = HEADLINES
        .into_iter()
        .filter(|metric| slices.iter().any(|slice| slice.part.metrics.contains_key(*metric)))
        .collect();
    let heading = |name: String, is_number| Heading { name, is_number };
    let fixed = [("slice", false), ("value", false), ("rows", true), ("mean label", true)];
    let headings = fixed.map(|(name, is_number)| heading(name.into(), is_number)).into_iter();
    let headings = headings.chain(named.iter().map(|metric| heading(words::metric_name(metric), true)));
    let rows = slices.iter().map(|slice| {
        let fixed = [
            Cell::Code(slice.column.clone()),
            Cell::text(&slice.value),
            Cell::count(slice.part.rows),
            Cell::maybe(slice.part.mean_label, |mean| Cell::decimal(mean, 4)),
        ];
        let metrics =
            named.iter().map(|metric| Cell::maybe(slice.part.metrics.get(*metric), |value| Cell::decimal(*value, 4)));
        fixed.into_iter().chain(metrics).collect()
    });
    Table { headings: headings.collect(), ..Table::new(&[]) }.rows(rows).filtered("slices")
}
