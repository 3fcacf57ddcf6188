//! Times and numbers as people write them in one country: told strictly, so that what is read is what was meant.

/// How a column's texts can be read as something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// As times of one format, in the words of chrono's `strftime`.
    Time(String),
    /// As numbers with a comma before their decimals.
    DecimalComma,
}

/// The years that a time may lie in: well within what nanoseconds since 1970 can say, which is what the engine counts in.
const YEARS: std::ops::RangeInclusive<i16> = 1700..=2200;
/// The names of months; their first three letters stand for them too.
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Whether a column's texts are dates of one shape, and in which order day and month stand.
#[derive(Debug, Clone)]
pub(super) struct Times {
    shape: Option<Shape>,
    day_first: bool,
    month_first: bool,
}

/// What dates of one column have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    separator: char,
    year_first: bool,
    clock: Clock,
}

/// The time of day behind a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Absent,
    Minutes,
    Seconds,
}

/// What the times of a column turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Of this format.
    Format(String),
    /// Day and month could each stand first.
    Ambiguous,
    /// Not times of one shape.
    None,
}

impl Times {
    pub fn new() -> Self {
        Self { shape: None, day_first: true, month_first: true }
    }

    pub fn see(&mut self, text: &str) {
        if !self.day_first && !self.month_first {
            return;
        }
        match parse(text) {
            Some((shape, [a, b, c])) if *self.shape.get_or_insert(shape) == shape => {
                if shape.year_first {
                    (self.day_first, self.month_first) = (false, self.month_first && is_day(a, b, c));
                } else {
                    self.day_first = self.day_first && is_day(c, b, a);
                    // Nobody parts by dots and puts the month first.
                    self.month_first = self.month_first && shape.separator != '.' && is_day(c, a, b);
                }
            }
            _ => (self.day_first, self.month_first) = (false, false),
        }
    }

    pub fn order(&self) -> Order {
        let Some(shape) = self.shape else { return Order::None };
        let date = match (self.day_first, self.month_first) {
            (false, false) => return Order::None,
            (true, true) => return Order::Ambiguous,
            (true, false) => ["%d", "%m", "%Y"],
            (false, true) if shape.year_first => ["%Y", "%m", "%d"],
            (false, true) => ["%m", "%d", "%Y"],
        };
        let clock = match shape.clock {
            Clock::Absent => "",
            Clock::Minutes => " %H:%M",
            Clock::Seconds => " %H:%M:%S",
        };
        let [first, second, third] = date;
        let separator = shape.separator;
        Order::Format(format!("{first}{separator}{second}{separator}{third}{clock}"))
    }
}

/// The shape of a text that is three numbers parted alike, one of them a year, and perhaps a time of day behind them.
fn parse(text: &str) -> Option<(Shape, [i16; 3])> {
    let (date, clock) = match text.split_once(' ') {
        Some((date, clock)) => (date, parse_clock(clock)?),
        None => (text, Clock::Absent),
    };
    let separator = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| ['/', '.', '-'].contains(c))?;
    let mut parts = date.split(separator);
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let year_first = a.len() == 4;
    let (year, short) = if year_first { (a, c) } else { (c, a) };
    if year.len() != 4 || short.len() > 2 || b.len() > 2 {
        return None;
    }
    Some((Shape { separator, year_first, clock }, [number(a)?, number(b)?, number(c)?]))
}

fn parse_clock(text: &str) -> Option<Clock> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() || hours.len() > 2 || minutes.len() != 2 || number(hours)? > 23 || number(minutes)? > 59 {
        return None;
    }
    match seconds {
        None => Some(Clock::Minutes),
        Some(seconds) => (seconds.len() == 2 && number(seconds)? <= 59).then_some(Clock::Seconds),
    }
}

/// A number of digits and nothing else.
fn number(text: &str) -> Option<i16> {
    if is_digits(text) { text.parse().ok() } else { None }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_day(year: i16, month: i16, day: i16) -> bool {
    let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else { return false };
    YEARS.contains(&year) && jiff::civil::Date::new(year, month, day).is_ok()
}

/// Whether a text has the look of a time, readable or not: three groups of digits parted alike, hours and minutes, or
/// the name of a month beside a number.
pub(super) fn looks_like_time(text: &str) -> bool {
    let has_date = ['/', '.', '-'].into_iter().any(|separator| {
        let date = text.split([' ', 'T']).next().unwrap_or_default();
        let groups: Vec<&str> = date.split(separator).collect();
        groups.len() == 3
            && groups.iter().all(|group| is_digits(group) && matches!(group.len(), 1 | 2 | 4))
            && (date.len() >= 8 || groups.iter().any(|group| group.len() == 4))
    });
    let has_clock = || {
        text.split([' ', 'T']).any(|word| {
            let mut parts = word.splitn(3, ':');
            let hours = parts.next().is_some_and(|hours| hours.len() <= 2 && is_digits(hours));
            hours && parts.next().is_some_and(|minutes| minutes.get(..2).is_some_and(is_digits))
        })
    };
    let has_month = || {
        let lower = text.to_lowercase();
        let names_month = |word: &str| MONTHS.iter().any(|month| *month == word || month.get(..3) == Some(word));
        lower.split(|c: char| !c.is_alphanumeric()).any(names_month)
            && lower.bytes().filter(u8::is_ascii_digit).count() >= 3
    };
    has_date || has_clock() || has_month()
}

/// Whether a column's texts are numbers with a comma in them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commas {
    all_are_numbers: bool,
    any_has_comma: bool,
    any_is_decimal: bool,
}

impl Commas {
    pub fn new() -> Self {
        Self { all_are_numbers: true, any_has_comma: false, any_is_decimal: false }
    }

    pub fn see(&mut self, text: &str) {
        if !self.all_are_numbers {
            return;
        }
        let (whole, part) = match text.strip_prefix('-').unwrap_or(text).split_once(',') {
            Some((whole, part)) => (whole, Some(part)),
            None => (text.strip_prefix('-').unwrap_or(text), None),
        };
        let is_whole = is_digits(whole) && (whole.len() == 1 || !whole.starts_with('0'));
        self.all_are_numbers = is_whole && part.is_none_or(is_digits);
        self.any_has_comma = self.any_has_comma || part.is_some();
        // `1,234` may be a thousand and more; `12,5`, `0,125` and `1234,567` are not.
        let cannot_be_thousands = |part: &str| part.len() != 3 || whole == "0" || whole.len() > 3;
        self.any_is_decimal = self.any_is_decimal || part.is_some_and(cannot_be_thousands);
    }

    pub fn are_decimal(self) -> bool {
        self.all_are_numbers && self.any_has_comma && self.any_is_decimal
    }

    /// Whether the commas could stand before thousands as well as before decimals.
    pub fn are_ambiguous(self) -> bool {
        self.all_are_numbers && self.any_has_comma && !self.any_is_decimal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(texts: &[&str]) -> Order {
        let mut times = Times::new();
        texts.iter().for_each(|text| times.see(text));
        times.order()
    }

    fn format(text: &str) -> Order {
        Order::Format(text.to_owned())
    }

    #[test]
    fn a_value_above_twelve_tells_day_from_month() {
        assert_eq!(order(&["01/02/2024", "13/01/2024"]), format("%d/%m/%Y"));
        assert_eq!(order(&["1/2/2024 9:05", "1/13/2024 10:00"]), format("%m/%d/%Y %H:%M"));
        assert_eq!(order(&["01/02/2024", "03/04/2024"]), Order::Ambiguous);
        assert_eq!(order(&["01.02.2024 10:00:30"]), format("%d.%m.%Y %H:%M:%S"));
        assert_eq!(order(&["2024/01/02"]), format("%Y/%m/%d"));
    }

    #[test]
    fn what_is_not_of_one_shape_is_not_read() {
        for texts in [
            &["13/01/2024", "01/13/2024"][..],
            &["13/01/2024", "13.01.2024"],
            &["13/01/2024", "13/01/2024 10:00"],
            &["31/02/2024"],
            &["13/01/24"],
            &["13/01/2024 25:00"],
            &["10.0.0.1"],
            &["noon"],
            &[],
        ] {
            assert_eq!(order(texts), Order::None, "{texts:?}");
        }
    }

    #[test]
    fn a_comma_is_one_of_decimals_only_where_it_cannot_be_one_of_thousands() {
        let commas = |texts: &[&str]| {
            let mut commas = Commas::new();
            texts.iter().for_each(|text| commas.see(text));
            (commas.are_decimal(), commas.are_ambiguous())
        };

        assert_eq!(commas(&["12,5", "-7", "0,25"]), (true, false));
        assert_eq!(commas(&["1,234", "12,500"]), (false, true));
        assert_eq!(commas(&["0,125"]), (true, false));
        assert_eq!(commas(&["12,5", "a"]), (false, false));
        assert_eq!(commas(&["12", "7"]), (false, false));
        assert_eq!(commas(&["007,5"]), (false, false));
        assert_eq!(commas(&["1,234,567"]), (false, false));
    }

    #[test]
    fn what_looks_like_a_time_is_seen_and_codes_are_not() {
        for time in ["13/01/24", "13-Jan-2024", "Jan 13, 2024 10:00", "10:30", "2024-13-01", "13.01.2024 noon"] {
            assert!(looks_like_time(time), "{time}");
        }
        for other in ["555-123-4567", "10.0.0.1", "C1001", "may be", "1.2", "it's all", "High St 12", "1.0.2"] {
            assert!(!looks_like_time(other), "{other}");
        }
    }
}
