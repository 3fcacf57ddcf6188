//! Where the lake lies and how much memory queries may take.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where the lake lies and what its queries may use.
#[derive(Debug, Clone)]
pub struct LakeConfig {
    /// A path or a `file://` URL; made when it is not there.
    pub root: String,
    /// Memory for all queries together, in bytes.
    pub memory_bytes: u64,
    /// Where queries spill what does not fit.
    pub spill_dir: PathBuf,
    /// How many partitions a query is cut into.
    pub threads: usize,
}

/// The least memory a lake is opened with: each sort needs its reservation, or nothing runs.
pub(crate) const MEMORY_MIN: u64 = 64 << 20;

/// Reads a size such as `512MiB`, `2GiB`, `1.5GB` or a plain number of bytes.
///
/// # Errors
///
/// [`Error::Memory`] when it is no size, or under 64 MiB.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be positive and small")]
pub fn parse_memory(text: &str) -> Result<u64> {
    let refused = || Error::Memory { text: text.to_owned() };
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let number: f64 = number.parse().map_err(|_| refused())?;
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(refused()),
    };
    #[expect(clippy::cast_precision_loss, reason = "units are powers that fit")]
    let bytes = number * unit as f64;
    if bytes.is_finite() && bytes >= MEMORY_MIN as f64 && bytes < 1e15 { Ok(bytes as u64) } else { Err(refused()) }
}

/// A quarter of the machine's memory, or 1 GiB where the machine does not tell.
#[must_use]
pub fn default_memory_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:").map(str::to_owned))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    told.map_or(1 << 30, |kib| kib * 1024 / 4).max(MEMORY_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_and_decimal_units() {
        assert_eq!(parse_memory("512MiB").unwrap(), 512 << 20);
        assert_eq!(parse_memory("1.5 GiB").unwrap(), 3 << 29);
        assert_eq!(parse_memory("2GB").unwrap(), 2_000_000_000);
        assert_eq!(parse_memory("268435456").unwrap(), 256 << 20);
    }

    #[test]
    fn sizes_that_are_none_or_too_small_are_refused_with_an_example() {
        for text in ["", "much", "12 parsecs", "-1GiB", "1MiB", "1e400GiB", "NaN"] {
            let error = parse_memory(text).unwrap_err().to_string();
            assert!(error.contains("512MiB"), "{text}: {error}");
        }
    }
}
