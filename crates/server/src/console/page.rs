//! What pages are made of: a few kinds of blocks, each drawn by one template, so that all pages look alike.

use askama::Template;
use jiff::Timestamp;
use serde_json::Value;

use super::picture::Picture;
use super::words;

/// What stands around every page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The project.
    pub project: String,
    /// Who looks.
    pub principal: String,
    /// The pages.
    pub pages: Vec<PageLink>,
}

/// A page in the navigation.
#[derive(Debug, Clone)]
pub struct PageLink {
    /// Where it is.
    pub href: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// The key that leads there after `g`.
    pub key: char,
    /// Whether it is the one shown.
    pub current: bool,
}

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// What it shows, in a sentence.
    pub lead: String,
    /// Where one came from: name and address.
    pub crumbs: Vec<(&'static str, &'static str)>,
    /// What it shows.
    pub blocks: Vec<Block>,
}

impl Page {
    /// A page without blocks.
    pub fn new(title: impl Into<String>, lead: impl Into<String>) -> Self {
        Self { title: title.into(), lead: lead.into(), ..Self::default() }
    }

    /// With the page above it.
    pub fn under(mut self, name: &'static str, href: &'static str) -> Self {
        self.crumbs.push((name, href));
        self
    }

    /// With a block more.
    pub fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// With a heading and a block more.
    pub fn section(self, heading: impl Into<String>, block: Block) -> Self {
        self.with(Block::Heading(heading.into())).with(block)
    }

    /// With a heading and charts more, when there are any.
    pub fn charts(self, heading: impl Into<String>, figures: Vec<Figure>) -> Self {
        if figures.is_empty() { self } else { self.section(heading, Block::Figures(figures)) }
    }

    /// Whether the page needs the chart script.
    pub fn has_charts(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block, Block::Figures(_)))
    }
}

/// The whole document.
#[derive(Template)]
#[template(path = "page.html")]
pub struct Document {
    /// What stands around it.
    pub frame: Frame,
    /// The page.
    pub page: Page,
}

/// Part of a page.
#[derive(Debug, Clone, Template)]
#[template(path = "block.html")]
pub enum Block {
    /// A heading of the second rank.
    Heading(String),
    /// A sentence or two.
    Note(String),
    /// Facts in boxes.
    Tiles(Vec<Tile>),
    /// Names and values.
    Facts(Vec<(&'static str, Cell)>),
    /// A table.
    Table(Table),
    /// Charts beside each other.
    Figures(Vec<Figure>),
    /// A picture in a sheet that scrolls.
    Picture(Picture),
    /// Text as it was written.
    Pre(String),
    /// Something folded away until asked for.
    Folded {
        /// What links on the page call it.
        id: String,
        /// What it is.
        summary: String,
        /// The lines.
        text: String,
    },
    /// Parts that are fetched again while they are looked at.
    Live {
        /// From where.
        href: &'static str,
        /// As they are now.
        blocks: Vec<Block>,
    },
    /// Sections beside each other, each with its heading.
    Beside(Vec<(String, Block)>),
}

/// A fact in a box.
#[derive(Debug, Clone, Default)]
pub struct Tile {
    /// What it is.
    pub name: String,
    /// The value, ready to be read.
    pub value: String,
    /// Its unit.
    pub unit: &'static str,
    /// What else is to say.
    pub note: String,
    /// Where one reads more; empty for nowhere.
    pub href: String,
    /// Its course.
    pub spark: Picture,
    /// A mark in the corner.
    pub mark: Option<(Tone, String)>,
}

impl Tile {
    /// A fact.
    pub fn new(name: impl Into<String>, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), note: note.into(), ..Self::default() }
    }

    /// That leads somewhere.
    pub fn to(mut self, href: impl Into<String>) -> Self {
        self.href = href.into();
        self
    }

    /// In a unit.
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// With its course.
    pub fn course(mut self, values: &[f64]) -> Self {
        self.spark = super::picture::sparkline(values);
        self
    }

    /// With a mark.
    pub fn mark(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.mark = Some((tone, text.into()));
        self
    }
}

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// In order.
    Good,
    /// To look at.
    Warn,
    /// Failed.
    Bad,
    /// Under way.
    Info,
    /// Neither.
    Plain,
}

impl Tone {
    /// The class in the stylesheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Info => "info",
            Self::Plain => "plain",
        }
    }

    /// Good or bad.
    pub const fn of(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Bad }
    }
}

/// What stands in a cell of a table, or behind a name.
#[derive(Debug, Clone, Template)]
#[template(path = "cell.html")]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Words.
    Text(String),
    /// Words of less weight.
    Soft(String),
    /// As it stands in code.
    Code(String),
    /// Long text in code that may be broken.
    Long(String),
    /// A number as it is shown, and as it sorts.
    Number(String, f64),
    /// A moment.
    Time(Timestamp),
    /// Leads somewhere: address and words.
    Link(String, String),
    /// A word on a coloured ground.
    Tag(Tone, String),
    /// A number on a ground as deep as it is great, from 0 to 1.
    Heat(f64, String, f64),
    /// A picture.
    Drawn(Picture),
    /// A box to tick: name and value.
    Check(&'static str, String),
    /// Does something when pressed: address, JSON body, words, and what to ask for before.
    Action {
        /// Where it is posted.
        href: String,
        /// What is posted.
        body: String,
        /// What stands on it.
        label: &'static str,
        /// What to ask before.
        ask: String,
    },
    /// Several.
    Many(Vec<Cell>),
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }

    /// A count.
    pub fn count(count: u64) -> Self {
        Self::Number(words::count(count), words::number(count))
    }

    /// A number.
    pub fn figure(number: f64) -> Self {
        Self::Number(words::figure(number), number)
    }

    /// A number with so many decimals.
    pub fn decimal(number: f64, decimals: usize) -> Self {
        Self::Number(words::decimal(number, decimals), number)
    }

    /// A size.
    pub fn size(bytes: u64) -> Self {
        Self::Number(words::size(bytes), words::number(bytes))
    }

    /// A span of time.
    pub fn span(seconds: f64) -> Self {
        Self::Number(words::span(seconds), seconds)
    }

    /// A share.
    pub fn share(share: f64) -> Self {
        Self::Number(words::share(share), share)
    }

    /// What may be missing.
    pub fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Empty, cell)
    }

    /// A link.
    pub fn link(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Link(href.into(), text.into())
    }

    /// A tag.
    pub fn tag(tone: Tone, text: impl Into<String>) -> Self {
        Self::Tag(tone, text.into())
    }

    /// Tags without colour.
    pub fn tags<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        Self::Many(texts.into_iter().map(|text| Self::tag(Tone::Plain, text)).collect())
    }

    /// Any value of JSON.
    pub fn json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Empty,
            Value::Number(number) => Self::maybe(number.as_f64(), Self::figure),
            Value::String(text) => Self::text(text),
            other => Self::Text(other.to_string()),
        }
    }

    /// Whether it stands to the right.
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Number(..) | Self::Heat(..))
    }

    /// What it sorts by, when that is not what is shown.
    pub fn sorts_by(&self) -> String {
        match self {
            Self::Number(_, number) | Self::Heat(_, _, number) if number.is_finite() => number.to_string(),
            Self::Time(at) => at.as_millisecond().to_string(),
            _ => String::new(),
        }
    }

    /// How deep a heat's ground is, in percent.
    fn depth(level: &f64) -> u32 {
        // clamped, and not a number is nothing
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 80")]
        let depth = (level.clamp(0.0, 1.0) * 80.0).round() as u32;
        depth
    }
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its name in the page, for the filter.
    pub id: &'static str,
    /// The headings; those of numbers stand to the right.
    pub headings: Vec<Heading>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// What is said when there are none.
    pub empty: String,
    /// Whether there is a box to filter by.
    pub filtered: bool,
    /// Where its ticked boxes are sent, and what stands on the button.
    pub form: Option<(&'static str, &'static str)>,
}

/// A heading of a column.
#[derive(Debug, Clone)]
pub struct Heading {
    /// Its words.
    pub name: String,
    /// Whether its column holds numbers.
    pub is_number: bool,
}

impl Table {
    /// A table without rows. Headings that begin with `#` are of numbers.
    pub fn new(headings: &[&str]) -> Self {
        let headings = headings
            .iter()
            .map(|name| Heading { name: name.trim_start_matches('#').into(), is_number: name.starts_with('#') });
        Self { headings: headings.collect(), empty: "Nothing here yet".into(), ..Self::default() }
    }

    /// With the rows.
    pub fn rows(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// What is said when there are no rows.
    pub fn or_else(mut self, empty: impl Into<String>) -> Self {
        self.empty = empty.into();
        self
    }

    /// Whether a cell stands to the right: as its heading does, or because it is a number.
    fn is_right(&self, column: &usize, cell: &Cell) -> bool {
        cell.is_number() || self.headings.get(*column).is_some_and(|heading| heading.is_number)
    }

    /// With a box to filter by, when there are many rows.
    pub fn filtered(mut self, id: &'static str) -> Self {
        (self.id, self.filtered) = (id, self.rows.len() > 8);
        self
    }
}

/// A chart with the table of its data.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name in the page.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// What to see in it.
    pub note: String,
    /// Data and layout, as JSON that may stand in a page.
    pub spec: String,
    /// Whether it is a small one.
    pub is_small: bool,
    /// The data.
    pub table: Table,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &Cell) -> String {
        cell.render().unwrap()
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let evil = "<img src=x onerror=alert(1)>\"";
        for cell in [
            Cell::text(evil),
            Cell::Code(evil.into()),
            Cell::link(evil, evil),
            Cell::tag(Tone::Good, evil),
            Cell::Many(vec![Cell::text(evil)]),
            Cell::Action { href: evil.into(), body: evil.into(), label: "x", ask: evil.into() },
        ] {
            let shown = shown(&cell);
            assert!(!shown.contains("<img") && !shown.contains("\">\""), "{shown}");
        }
    }

    #[test]
    fn times_are_written_in_utc_for_machines() {
        let shown = shown(&Cell::Time("2013-07-01T05:00:00Z".parse().unwrap()));
        assert!(shown.contains(r#"<time datetime="2013-07-01T05:00:00Z">"#), "{shown}");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        let block = Block::Table(Table::new(&["table", "#rows"]).or_else("Run `mainspring run` first"));
        let shown = block.render().unwrap();
        assert!(shown.contains("Run `mainspring run` first") && !shown.contains("<tbody>"), "{shown}");
    }

    #[test]
    fn numbers_stand_to_the_right_and_sort_by_value() {
        let table = Table::new(&["#rows"]).rows([vec![Cell::count(12_345)]]);
        let shown = Block::Table(table).render().unwrap();
        assert!(shown.contains(r#"<td class="num" data-value="12345">12,345</td>"#), "{shown}");
    }
}
