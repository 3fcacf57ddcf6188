//! What is wrong with a project folder: each mistake with file, line, column, rule and the edit that mends it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::tree::Place;

/// The most mistakes reported at once; more are counted. A person mends the first few and asks again.
pub const DIAGNOSTICS_MAX: usize = 100;

/// The longest piece of a user's text repeated in a message; a longer one is cut.
const QUOTE_MAX: usize = 80;

/// The most bytes of source text shown around a mistake; around longer lines only the place is told.
const WINDOW_MAX: usize = 4_000;

/// A file of the folder: its path inside it, and its text.
#[derive(Debug, Clone)]
pub(crate) struct SourceText {
    pub(crate) path: Arc<str>,
    pub(crate) text: Arc<str>,
}

/// One mistake.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnostic {
    /// The file, relative to the project folder, with `/` between its parts.
    pub file: String,
    /// The line, from 1; 0 when the mistake is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 when the mistake is about the file as a whole.
    pub column: usize,
    /// Where the offending text starts, in bytes.
    pub offset: usize,
    /// How long the offending text is, in bytes.
    pub length: usize,
    /// The rule broken, for example `unknown_key`.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
    /// The edit that mends it.
    pub help: Option<String>,
    #[serde(skip)]
    text: Option<Arc<str>>,
}

impl Diagnostic {
    /// A mistake at a place of a file.
    pub(crate) fn at(source: &SourceText, place: Place, rule: &'static str, message: impl Into<String>) -> Self {
        let offset = floor(&source.text, place.offset);
        let end = floor(&source.text, offset.saturating_add(place.length.max(1)));
        // A block of several lines is pointed at by its first one: a caret under 40 lines shows nothing.
        let shown = source.text.get(offset..end).unwrap_or_default();
        let length = shown.find('\n').unwrap_or(shown.len());
        Self {
            file: source.path.to_string(),
            line: place.line,
            column: place.column,
            offset,
            length,
            rule,
            message: message.into(),
            help: None,
            text: (window(&source.text, offset) <= WINDOW_MAX).then(|| source.text.clone()),
        }
    }

    /// A mistake about a file as a whole, or about one that is not there.
    pub(crate) fn file(path: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            file: path.into(),
            line: 0,
            column: 0,
            offset: 0,
            length: 0,
            rule,
            message: message.into(),
            help: None,
            text: None,
        }
    }

    /// Where it is, as `file:line:column`, or `file` when it is about the file as a whole.
    #[must_use]
    pub fn location(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }

    /// Adds the edit that mends it.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the edit that mends it, when one is known.
    #[must_use]
    pub(crate) fn help_if(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

/// How many bytes the line of an offset and its two neighbours have: what a rendered mistake repeats.
fn window(text: &str, offset: usize) -> usize {
    let (before, after) = text.split_at(offset);
    let before: usize = before.rsplit('\n').take(2).map(str::len).sum();
    let after: usize = after.split('\n').take(2).map(str::len).sum();
    before + after
}

/// The last character boundary at or before an offset.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.rule))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.text.as_ref().map(|_| self as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        self.text.as_ref()?;
        let label = miette::LabeledSpan::new_primary_with_span(None, (self.offset, self.length));
        Some(Box::new(std::iter::once(label)))
    }
}

impl miette::SourceCode for Diagnostic {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let text = self.text.as_deref().unwrap_or_default();
        let inner = text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.file.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// Everything found wrong with a project folder, in the order of files and lines.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnostics {
    /// The mistakes, at most [`DIAGNOSTICS_MAX`].
    pub found: Vec<Diagnostic>,
    /// How many more there are.
    pub omitted: usize,
}

impl Diagnostics {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < DIAGNOSTICS_MAX {
            self.found.push(diagnostic);
        } else {
            self.omitted += 1;
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many mistakes there are, those omitted included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len() + self.omitted
    }

    pub(crate) fn sort(&mut self) {
        self.found
            .sort_by(|a, b| (&a.file, a.offset, a.rule, &a.message).cmp(&(&b.file, b.offset, b.rule, &b.message)));
    }

    /// The mistakes as a person reads them: the line with a caret under the offending text, the rule and the help.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let theme = match look {
            Look::Plain => miette::GraphicalTheme::unicode_nocolor(),
            Look::Colour => miette::GraphicalTheme::unicode(),
        };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
        let mut out = String::new();
        for diagnostic in &self.found {
            let mut shown = diagnostic.clone();
            if shown.text.is_none() {
                shown.message = format!("{}: {}", diagnostic.location(), diagnostic.message);
            }
            if handler.render_report(&mut out, &shown).is_err() {
                out.push_str(&shown.message);
            }
            out.push('\n');
        }
        let noun = if self.len() == 1 { "mistake" } else { "mistakes" };
        match self.omitted {
            0 => out.push_str(&format!("{} {noun}\n", self.len())),
            omitted => out.push_str(&format!("{} {noun}, {omitted} of them not shown\n", self.len())),
        }
        out
    }
}

/// How diagnostics are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Without escape codes.
    Plain,
    /// In a terminal's colours.
    Colour,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Look::Plain))
    }
}

impl std::error::Error for Diagnostics {}

/// A user's text between backticks, cut when it is long and without control characters.
pub(crate) fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(QUOTE_MAX).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// The candidate that a misspelt word most probably means.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.7;
    if word.len() > QUOTE_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(alike, candidate)| *alike >= ALIKE || (lower.len() >= 3 && candidate.starts_with(&lower)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The words that would have been right, as a help line: the closest one, or a short list.
pub(crate) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    const SHOWN: usize = 12;
    if let Some(close) = closest(word, candidates.clone()) {
        return Some(format!("write `{close}`"));
    }
    let mut listed: Vec<&str> = candidates.into_iter().collect();
    listed.sort_unstable();
    listed.dedup();
    let more = listed.len().saturating_sub(SHOWN);
    listed.truncate(SHOWN);
    let list = listed.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match (listed.len(), more) {
        (0, _) => None,
        (1, 0) => Some(format!("write {list}")),
        (_, 0) => Some(format!("write one of {list}")),
        (_, more) => Some(format!("write one of {list} or {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_the_list() {
        assert_eq!(suggest("colums", ["columns", "checks"]), Some("write `columns`".into()));
        assert_eq!(suggest("zebra", ["columns", "checks"]), Some("write one of `checks`, `columns`".into()));
        assert_eq!(suggest("zebra", []), None);
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted() {
        let mut diagnostics = Diagnostics::default();

        for _ in 0..DIAGNOSTICS_MAX + 5 {
            diagnostics.push(Diagnostic::file("a.yaml", "empty_file", "nothing in it"));
        }

        assert_eq!((diagnostics.found.len(), diagnostics.omitted, diagnostics.len()), (100, 5, 105));
    }
}
