//! Numbers, sizes and spans of time as people read them: grouped, with few digits, with their unit.

/// A count in groups of three: `336,776`.
#[must_use]
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

fn grouped(digits: &str) -> String {
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A number with so many decimals: `1,234.57`; a dash for what is no number.
#[must_use]
pub fn decimal(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return "–".into();
    }
    let shown = format!("{:.decimals$}", number.abs());
    let (whole, rest) = shown.split_once('.').unwrap_or((&shown, ""));
    let is_zero = shown.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if number < 0.0 && !is_zero { "−" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{rest}", grouped(whole))
}

/// A number with about four digits that matter: `0.7424`, `12.35`, `1,411`, `0.000012`.
#[must_use]
pub fn figure(number: f64) -> String {
    let size = number.abs();
    let shown = match size {
        _ if !number.is_finite() => return "–".into(),
        _ if number == number.trunc() && size < 1e15 => return decimal(number, 0),
        _ if !(1e-6..1e15).contains(&size) => return format!("{number:.2e}"),
        _ if size >= 1_000.0 => decimal(number, 0),
        _ if size >= 100.0 => decimal(number, 1),
        _ if size >= 10.0 => decimal(number, 2),
        _ if size >= 0.01 => decimal(number, 4),
        _ => decimal(number, 6),
    };
    // zeros at the end say nothing
    if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.').to_owned() } else { shown }
}

/// A measured value: as [`figure`], and by its name when it is no finite number, since a run that diverged says so.
#[must_use]
pub fn measured(number: f64) -> String {
    match number {
        f64::INFINITY => "∞".into(),
        f64::NEG_INFINITY => "−∞".into(),
        _ if number.is_nan() => "NaN".into(),
        _ => figure(number),
    }
}

/// A size in binary units: `12.3 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a size is shown with three digits")]
pub fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    if amount < 1024.0 {
        return format!("{bytes} B");
    }
    for unit in ["KiB", "MiB", "GiB", "TiB"] {
        amount /= 1024.0;
        if amount < 1024.0 {
            return format!("{} {unit}", decimal(amount, if amount < 100.0 { 1 } else { 0 }));
        }
    }
    format!("{} PiB", decimal(amount / 1024.0, 1))
}

/// A span of time: `0.9 ms`, `6.2 s`, `3 min 20 s`, `2 h 5 min`.
#[must_use]
pub fn span(seconds: f64) -> String {
    match seconds {
        _ if !seconds.is_finite() || seconds < 0.0 => "–".into(),
        _ if seconds == 0.0 => "0 s".into(),
        _ if seconds < 0.001 => format!("{} µs", decimal(seconds * 1e6, 0)),
        _ if seconds < 1.0 => {
            let millis = seconds * 1e3;
            format!("{} ms", decimal(millis, if millis < 10.0 { 1 } else { 0 }))
        }
        _ if seconds < 60.0 => format!("{} s", decimal(seconds, 1)),
        _ if seconds < 3_600.0 => whole_and_rest(seconds, (60.0, "min"), (1.0, "s")),
        _ if seconds < 86_400.0 => whole_and_rest(seconds, (3_600.0, "h"), (60.0, "min")),
        _ => whole_and_rest(seconds, (86_400.0, "d"), (3_600.0, "h")),
    }
}

/// A span in a greater unit and a lesser one, each with its seconds; in the greater alone when nothing is left.
fn whole_and_rest(seconds: f64, greater: (f64, &str), lesser: (f64, &str)) -> String {
    let whole = format!("{} {}", (seconds / greater.0).floor(), greater.1);
    match (seconds % greater.0 / lesser.0).floor() {
        0.0 => whole,
        rest => format!("{whole} {rest} {}", lesser.1),
    }
}

/// A share as a percentage: `3.1%`.
#[must_use]
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = if percent == 0.0 || percent >= 10.0 {
        0
    } else if percent >= 0.1 {
        1
    } else {
        3
    };
    if share.is_finite() { format!("{}%", decimal(percent, decimals)) } else { "–".into() }
}

/// A word and its number: `1 version`, `2 versions`.
#[must_use]
pub fn several(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A word as it stands in code, for people: `log_loss` is `log loss`; short ones are names.
#[must_use]
pub fn metric_name(metric: &str) -> String {
    match metric {
        "auc" | "psi" | "ks" | "rmse" | "mae" => metric.to_uppercase(),
        "r2" => "R²".into(),
        "f1" | "macro_f1" => metric.replace('_', " ").replace("f1", "F1"),
        _ => metric.replace('_', " "),
    }
}

/// A text cut to so many characters.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A count as a coordinate.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "pictures have fewer pixels than this has digits")]
pub fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (336_776, "336,776")] {
            assert_eq!(count(number), shown);
        }
        assert_eq!(several(1, "row", "rows"), "1 row");
        assert_eq!(several(2_000, "row", "rows"), "2,000 rows");
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        for (number, shown) in [
            (0.742_4, "0.7424"),
            (12.345_6, "12.35"),
            (1_410.6, "1,411"),
            (336_776.0, "336,776"),
            (-0.5, "−0.5"),
            (0.000_012, "0.000012"),
            (f64::NAN, "–"),
            (0.0, "0"),
            (1e-9, "1.00e-9"),
        ] {
            assert_eq!(figure(number), shown, "{number}");
        }
        assert_eq!(decimal(-0.0001, 2), "0.00");
        assert_eq!(decimal(f64::INFINITY, 2), "–");
        let measured = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5].map(measured);
        assert_eq!(measured, ["NaN", "∞", "−∞", "0.5"]);
    }

    #[test]
    fn sizes_spans_and_shares_carry_their_unit() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(5_032_358), "4.8 MiB");
        assert_eq!(span(0.000_91), "910 µs");
        assert_eq!(span(0.001_97), "2.0 ms");
        assert_eq!(span(6.24), "6.2 s");
        assert_eq!(span(200.0), "3 min 20 s");
        assert_eq!(span(7_500.0), "2 h 5 min");
        assert_eq!([300.0, 3_600.0, 172_800.5].map(span), ["5 min", "1 h", "2 d"]);
        assert_eq!(share(0.5), "50%");
        assert_eq!(share(0.012), "1.2%");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("häuser", 10), "häuser");
        assert_eq!(cut("häuser", 4), "häu…");
    }
}
