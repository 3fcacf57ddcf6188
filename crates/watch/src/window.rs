//! Calendar windows in UTC.

use jiff::{Timestamp, tz::TimeZone};
use mainspring_spec::Window;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// 1970-01-01 was a Thursday: three days after the Monday that began its week.
const DAYS_SINCE_MONDAY: i64 = 3;

/// The window that a moment lies in: its start, which belongs to it, and its end, which does not.
///
/// Returns `None` outside of the years that a timestamp holds.
#[must_use]
pub fn window_of(window: Window, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let micros = at.as_microsecond();
    let span = |start: i64, length: i64| {
        Some((Timestamp::from_microsecond(start).ok()?, Timestamp::from_microsecond(start + length).ok()?))
    };
    match window {
        Window::Hour => span(micros.div_euclid(HOUR) * HOUR, HOUR),
        Window::Day => span(micros.div_euclid(DAY) * DAY, DAY),
        Window::Week => {
            let monday = (micros.div_euclid(DAY) + DAYS_SINCE_MONDAY).div_euclid(7) * 7 - DAYS_SINCE_MONDAY;
            span(monday * DAY, 7 * DAY)
        }
        Window::Month => {
            let first = at.to_zoned(TimeZone::UTC).date().first_of_month();
            let next = first.last_of_month().tomorrow().ok()?;
            let start = first.to_zoned(TimeZone::UTC).ok()?.timestamp();
            Some((start, next.to_zoned(TimeZone::UTC).ok()?.timestamp()))
        }
    }
}

/// The window as the SQL function `date_trunc` knows it.
pub(crate) fn sql_unit(window: Window) -> &'static str {
    match window {
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Week => "week",
        Window::Month => "month",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(window: Window, at: &str) -> (String, String) {
        let (from, to) = window_of(window, at.parse().unwrap()).unwrap();
        (from.to_string(), to.to_string())
    }

    #[test]
    fn windows_begin_where_the_calendar_says() {
        let at = "2013-12-31T23:59:59.999999Z";

        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(texts(Window::Hour, at), pair("2013-12-31T23:00:00Z", "2014-01-01T00:00:00Z"));
        assert_eq!(texts(Window::Day, at), pair("2013-12-31T00:00:00Z", "2014-01-01T00:00:00Z"));
        assert_eq!(texts(Window::Week, at), pair("2013-12-30T00:00:00Z", "2014-01-06T00:00:00Z"));
        assert_eq!(texts(Window::Month, at), pair("2013-12-01T00:00:00Z", "2014-01-01T00:00:00Z"));
    }

    #[test]
    fn times_before_1970_have_windows_too() {
        assert_eq!(texts(Window::Week, "1969-12-31T12:00:00Z").0, "1969-12-29T00:00:00Z");
        assert_eq!(texts(Window::Hour, "1969-12-31T23:30:00Z").0, "1969-12-31T23:00:00Z");
    }

    proptest! {
        #[test]
        fn windows_tile_time(micros in -62_000_000_000_000_000i64..250_000_000_000_000_000) {
            let at = Timestamp::from_microsecond(micros).unwrap();
            for window in [Window::Hour, Window::Day, Window::Week, Window::Month] {
                let (from, to) = window_of(window, at).unwrap();

                prop_assert!(from <= at && at < to);
                prop_assert_eq!(window_of(window, from), Some((from, to)));
                prop_assert_eq!(window_of(window, to).unwrap().0, to);
            }
        }
    }
}
