//! Drift of 20 columns of 1 M rows against 1 M reference rows: exact, by sketches, and by SciPy.
//!
//! SciPy runs in the Python that `MAINSPRING_PYTHON` names, by default `python3`; it needs numpy and scipy. Ratios are taken
//! in one run on one machine, and the statistics are compared.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use mainspring_watch::drift::{Drift, NumericColumn, NumericSketch, Sample, compare_numeric, map_columns};
use serde::Deserialize;

const ROWS: usize = 1_000_000;
const COLUMNS: usize = 20;

#[derive(Deserialize)]
struct Peer {
    seconds: f64,
    statistics: Vec<Statistics>,
}

#[derive(Debug, Deserialize)]
struct Statistics {
    ks: f64,
    ks_p_value: f64,
    wasserstein: f64,
    jensen_shannon: f64,
    psi: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let reference: Vec<Vec<f64>> = (0..COLUMNS).map(|column| values(column, 0)).collect();
    let current: Vec<Vec<f64>> = (0..COLUMNS).map(|column| values(column, 1)).collect();
    let pairs = || reference.iter().cloned().zip(current.iter().cloned()).collect::<Vec<_>>();

    let work = pairs();
    let started = Instant::now();
    let exact = map_columns(work, |(reference, current)| compare_numeric(&sorted(reference), &sorted(current)));
    let exact_seconds = started.elapsed().as_secs_f64();
    println!("exact      {exact_seconds:8.2} s   {COLUMNS} columns of {ROWS} rows against {ROWS}, 2 threads");

    let work = pairs();
    let started = Instant::now();
    let sketched = map_columns(work, |(reference, current)| compare_numeric(&sketch(&reference), &sketch(&current)));
    println!("sketches   {:8.2} s   32 kB a column", started.elapsed().as_secs_f64());
    println!(
        "           {:8.5}     the sketches' greatest error of the Kolmogorov-Smirnov statistic",
        ks_error(&exact, &sketched)
    );

    let folder = tempfile::tempdir()?;
    write(&folder.path().join("reference.f64"), &reference)?;
    write(&folder.path().join("current.f64"), &current)?;
    let python = std::env::var("MAINSPRING_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("drift.py");
    let output =
        Command::new(&python).arg(script).arg(folder.path()).args([ROWS.to_string(), COLUMNS.to_string()]).output()?;
    if !output.status.success() {
        return Err(
            format!("{python} failed; it needs numpy and scipy\n{}", String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    let peer: Peer = serde_json::from_slice(&output.stdout)?;
    println!("SciPy      {:8.2} s   {:.1} times as long as exact", peer.seconds, peer.seconds / exact_seconds);
    println!("           {:8.1e}     the greatest difference of a statistic", difference(&exact, &peer.statistics));
    Ok(())
}

/// Columns of several shapes: even, skewed, few values, many zeros; some of them shift.
fn values(column: usize, side: u64) -> Vec<f64> {
    let mut state = (column as u64 * 2 + side + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = move || {
        // SplitMix64: the same numbers on every run and machine.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let shift = if column.is_multiple_of(3) { side as f64 * 0.05 } else { 0.0 };
    (0..ROWS)
        .map(|_| {
            let even = next();
            match column % 4 {
                0 => even + shift,
                1 => -(1.0 - even).ln() + shift,
                2 => (even * 24.0).floor() + shift,
                _ => (even - 0.6).max(0.0) + shift,
            }
        })
        .collect()
}

fn sorted(values: Vec<f64>) -> NumericColumn {
    NumericColumn::Exact(Sample::new(values, 0))
}

fn sketch(values: &[f64]) -> NumericColumn {
    let mut sketch = NumericSketch::default();
    for value in values {
        sketch.add(*value);
    }
    sketch.settle();
    NumericColumn::Sketch(sketch)
}

fn write(path: &Path, columns: &[Vec<f64>]) -> std::io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    for value in columns.iter().flatten() {
        file.write_all(&value.to_le_bytes())?;
    }
    file.flush()
}

fn ks_error(exact: &[Drift], sketched: &[Drift]) -> f64 {
    let statistic = |drift: &Drift| drift.ks.map_or(f64::NAN, |test| test.statistic);
    exact.iter().zip(sketched).map(|(a, b)| (statistic(a) - statistic(b)).abs()).fold(0.0, f64::max)
}

fn difference(ours: &[Drift], theirs: &[Statistics]) -> f64 {
    let off = |ours: Option<f64>, theirs: f64| ours.map_or(f64::INFINITY, |ours| (ours - theirs).abs());
    let of_column = |(ours, theirs): (&Drift, &Statistics)| {
        [
            off(ours.ks.map(|test| test.statistic), theirs.ks),
            off(ours.ks.map(|test| test.p_value), theirs.ks_p_value),
            off(ours.wasserstein.map(|distance| distance.distance), theirs.wasserstein),
            off(ours.jensen_shannon, theirs.jensen_shannon),
            off(ours.psi, theirs.psi),
        ]
        .into_iter()
        .fold(0.0, f64::max)
    };
    ours.iter().zip(theirs).map(of_column).fold(0.0, f64::max)
}
