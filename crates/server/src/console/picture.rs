//! Small pictures drawn on the server as SVG: sparklines, histograms, timelines. They need no script.

use std::fmt::Write;

use super::words;

/// Finished SVG: whatever text is in it has been escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture(pub String);

impl std::fmt::Display for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text as it may stand in SVG.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The least and the greatest of the finite values.
fn bounds(values: &[f64]) -> Option<(f64, f64)> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    Some((finite().reduce(f64::min)?, finite().reduce(f64::max)?))
}

/// A line without axes, filled below; empty when there are not two values to join.
#[must_use]
pub fn sparkline(values: &[f64]) -> Picture {
    const WIDTH: f64 = 200.0;
    const HEIGHT: f64 = 34.0;
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let Some((least, most)) = bounds(&finite).filter(|_| finite.len() > 1) else { return Picture::default() };
    let spread = if most > least { most - least } else { 1.0 };
    let step = WIDTH / words::number(finite.len() as u64 - 1);
    let mut line = String::new();
    for (index, value) in finite.iter().enumerate() {
        let x = step * words::number(index as u64);
        let y = HEIGHT - 3.0 - (value - least) / spread * (HEIGHT - 6.0);
        let _infallible = write!(line, "{}{x:.1} {y:.1}", if index == 0 { "M" } else { "L" });
    }
    Picture(format!(
        r#"<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path class="area" d="{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z"/><path class="line" d="{line}"/></svg>"#
    ))
}

/// Upright bars from zero, without axes.
#[must_use]
pub fn bars(values: &[f64], class: &str) -> Picture {
    const WIDTH: f64 = 120.0;
    const HEIGHT: f64 = 26.0;
    let Some((_, most)) = bounds(values).filter(|(_, most)| *most > 0.0) else { return Picture::default() };
    let step = WIDTH / words::number(values.len() as u64);
    let mut drawn = String::new();
    for (index, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        // what is there is seen
        let height = (value / most * HEIGHT).max(1.0);
        let (x, y, width) = (step * words::number(index as u64), HEIGHT - height, (step - 0.6).max(0.4));
        let _infallible = write!(drawn, r#"<rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}"/>"#);
    }
    Picture(format!(
        r#"<svg class="{}" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>"#,
        escape(class)
    ))
}

/// A bar of a timeline, in seconds from its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// Its row.
    pub row: usize,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// How it is coloured: `good`, `bad`, `soft`, `info`.
    pub tone: &'static str,
    /// What is said on it.
    pub title: String,
}

/// Rows with bars over time.
#[must_use]
pub fn timeline(rows: &[String], stretches: &[Stretch]) -> Picture {
    const LABELS: f64 = 250.0;
    const WIDTH: f64 = 1_100.0;
    const ROW: f64 = 26.0;
    if rows.is_empty() {
        return Picture::default();
    }
    let end = stretches.iter().map(|stretch| stretch.to).fold(0.001, f64::max);
    let scale = (WIDTH - LABELS - 70.0) / end;
    let height = ROW * words::number(rows.len() as u64) + 26.0;
    let mut drawn = String::new();
    for tick in ticks(end) {
        let x = LABELS + tick * scale;
        let _infallible = write!(
            drawn,
            r#"<path class="tick" d="M{x:.1} 20V{height:.1}"/><text class="kind" x="{x:.1}" y="12" text-anchor="middle">{}</text>"#,
            words::span(tick)
        );
    }
    for (index, row) in rows.iter().enumerate() {
        let y = 26.0 + ROW * words::number(index as u64) + 14.0;
        let _infallible = write!(drawn, r#"<text x="0" y="{y:.1}">{}</text>"#, escape(&words::cut(row, 36)));
    }
    for stretch in stretches {
        let y = 26.0 + ROW * words::number(stretch.row as u64) + 3.0;
        let (x, width) = (LABELS + stretch.from * scale, ((stretch.to - stretch.from) * scale).max(3.0));
        let _infallible = write!(
            drawn,
            r#"<rect class="{}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="15" rx="3"><title>{}</title></rect><text class="kind" x="{:.1}" y="{:.1}">{}</text>"#,
            stretch.tone,
            escape(&stretch.title),
            x + width + 6.0,
            y + 11.0,
            words::span(stretch.to - stretch.from)
        );
    }
    Picture(format!(
        r#"<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Tasks over time">{drawn}</svg>"#
    ))
}

/// Some four round moments between 0 and an end.
fn ticks(end: f64) -> Vec<f64> {
    let raw = end / 4.0;
    let size = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * size).find(|step| *step >= raw).unwrap_or(raw);
    (0..=8).map(|index| step * f64::from(index)).take_while(|tick| *tick <= end * 1.02).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_joins_at_least_two_numbers() {
        assert_eq!(sparkline(&[]), Picture::default());
        assert_eq!(sparkline(&[1.0, f64::NAN]), Picture::default());
        let drawn = sparkline(&[1.0, f64::NAN, 3.0, 2.0]).0;
        assert!(drawn.contains("M0.0 31.0L100.0 3.0L200.0 17.0"), "{drawn}");
        assert!(!sparkline(&[5.0, 5.0, 5.0]).0.contains("NaN"));
    }

    #[test]
    fn bars_stand_for_what_is_there() {
        let drawn = bars(&[0.0, 5.0, 10_000.0], "histogram").0;
        assert_eq!(drawn.matches("<rect").count(), 2);
        assert!(drawn.contains(r#"height="1.00""#), "a small bar is still seen: {drawn}");
        assert_eq!(bars(&[0.0], "histogram"), Picture::default());
    }

    #[test]
    fn a_timeline_escapes_what_others_wrote() {
        let stretch = Stretch { row: 0, from: 0.0, to: 1.0, tone: "good", title: "<script>".into() };
        let drawn = timeline(&["a<b".into()], &[stretch]).0;
        assert!(drawn.contains("a&lt;b") && drawn.contains("&lt;script&gt;") && !drawn.contains("<script>"));
    }

    #[test]
    fn ticks_are_few_and_round() {
        assert_eq!(ticks(10.0), [0.0, 5.0, 10.0]);
        for end in [0.001, 0.3, 7.0, 59.0, 86_400.0] {
            assert!((2..=6).contains(&ticks(end).len()), "{end}: {:?}", ticks(end));
        }
    }
}
