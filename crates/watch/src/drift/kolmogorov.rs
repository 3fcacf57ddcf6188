//! The distribution of the Kolmogorov-Smirnov statistic `D_n` of one sample of size `n`, two-sided.
//!
//! Follows Simard and L'Ecuyer, "Computing the Two-Sided Kolmogorov-Smirnov Distribution" (Journal of Statistical
//! Software 39(11), 2011), with the same choice of method by `n` and `n x²` as `scipy.stats.kstwo`, so that where a
//! method is an approximation (Pelz-Good, the limit of Smirnov's sum) it is the same approximation.

use std::f64::consts::PI;

/// Above this size SciPy replaces Smirnov's sum by its limit; each term of the sum costs some tens of nanoseconds.
const SMIRNOV_SUM_ROWS_MAX: f64 = 1e6;
/// `2^128`, by which intermediate powers are scaled so that they neither overflow nor vanish.
const SCALE: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;
const SCALE_EXPONENT: i32 = 128;

/// Returns `P(D_n > x)` for a sample of size `n`, as `scipy.stats.kstwo.sf(x, n)`.
///
/// `n` is a whole number of at least 1.
#[must_use]
pub fn survival(n: f64, x: f64) -> f64 {
    if x.is_nan() || n.is_nan() || n < 1.0 {
        return f64::NAN;
    }
    let nx = n * x;
    if x >= 1.0 {
        return 0.0;
    }
    if nx <= 0.5 {
        return 1.0;
    }
    let probability = if nx <= 1.0 {
        // Ruben-Gambino: the distribution function is n! / n^n (2nx - 1)^n here.
        1.0 - (ln_factorial_over_power(n) + n * (2.0 * nx - 1.0).ln()).exp()
    } else if nx >= n - 1.0 {
        2.0 * (1.0 - x).powf(n)
    } else if x >= 0.5 {
        2.0 * smirnov(n, x)
    } else {
        middle(n, x)
    };
    probability.clamp(0.0, 1.0)
}

/// The survival function where none of the closed forms holds: `1 < nx < n - 1` and `x < 0.5`.
fn middle(n: f64, x: f64) -> f64 {
    let nxx = n * x * x;
    if n <= 140.0 {
        return if nxx <= 4.0 { 1.0 - durbin(n, x) } else { 2.0 * smirnov(n, x) };
    }
    if nxx >= 370.0 {
        0.0
    } else if nxx >= 2.2 {
        2.0 * smirnov(n, x)
    } else if n <= 100_000.0 && n * x.powf(1.5) <= 1.4 {
        1.0 - durbin(n, x)
    } else {
        1.0 - pelz_good(n, x)
    }
}

/// Smirnov's one-sided tail `P(D_n^+ >= x)`, a sum of positive terms.
///
/// Each term is a binomial probability in Loader's saddle-point form ("Fast and accurate computation of binomial
/// probabilities", 2000), which keeps its digits where a difference of log-gammas would lose them.
fn smirnov(n: f64, x: f64) -> f64 {
    if n > SMIRNOV_SUM_ROWS_MAX {
        return (-(6.0 * n * x + 1.0).powi(2) / 18.0 / n).exp();
    }
    let nx = n * x;
    let stirling_n = stirling_error(n);
    let mut sum = 0.0;
    let mut j = 1.0;
    while j < n - nx && j < n {
        let rest = n - j;
        let left = nx - j * (nx / j).ln_1p();
        let right = -rest * (-nx / rest).ln_1p() - nx;
        let ln_term = stirling_n - stirling_error(j) - stirling_error(rest) - left - right;
        sum += ln_term.exp() * (n / (2.0 * PI * j * rest)).sqrt() / (x + j / n);
        j += 1.0;
    }
    (n * (-x).ln_1p()).exp() + x * sum
}

/// `ln n! - (n + 1/2) ln n + n - ln(2π)/2`: what Stirling's formula leaves out.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let mut factorial = 1.0;
        let mut i = 2.0;
        while i <= n {
            factorial *= i;
            i += 1.0;
        }
        return factorial.ln() - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    let square = n * n;
    let series = 1.0 / 360.0
        - (1.0 / 1260.0 - (1.0 / 1680.0 - (1.0 / 1188.0 - 691.0 / 360_360.0 / square) / square) / square) / square;
    (1.0 / 12.0 - series / square) / n
}

/// `ln(n! / n^n)`.
fn ln_factorial_over_power(n: f64) -> f64 {
    0.5 * (2.0 * PI * n).ln() - n + stirling_error(n)
}

/// `P(D_n <= x)` by Durbin's matrix in the form of Marsaglia, Tsang and Wang (2003).
///
/// The matrix has `2 ceil(nx) - 1` rows: at most 115 within the bounds of [`middle`], so some tens of millions of
/// multiplications at the worst.
fn durbin(n: f64, x: f64) -> f64 {
    let nx = n * x;
    let k = nx.ceil();
    let h = k - nx;
    let k = k as usize;
    let size = 2 * k - 1;
    let power = raise(&durbin_matrix(size, h), size, n as u64, k - 1);
    let mut probability = power.value;
    let mut exponent = power.exponent;
    let mut i = 1.0;
    while i <= n {
        probability *= i / n;
        if probability.abs() < 1.0 / SCALE {
            probability *= SCALE;
            exponent -= SCALE_EXPONENT;
        }
        i += 1.0;
    }
    probability * 2f64.powi(exponent)
}

fn durbin_matrix(size: usize, h: f64) -> Vec<f64> {
    let mut first = Vec::with_capacity(size);
    let mut inverse_factorials = Vec::with_capacity(size);
    let mut factor = 1.0;
    for j in 1..=size {
        inverse_factorials.push(factor);
        factor /= j as f64;
        first.push((1.0 - h.powi(j as i32)) * factor);
    }
    let corner = (2.0 * h - 1.0).max(0.0).powi(size as i32) - 2.0 * h.powi(size as i32);
    first[size - 1] = (1.0 + corner) * factor;

    let mut matrix = vec![0.0; size * size];
    for row in 0..size {
        for column in 1..size.min(row + 2) {
            matrix[row * size + column] = inverse_factorials[row + 1 - column];
        }
        matrix[row * size] = first[row];
    }
    for column in 0..size {
        matrix[(size - 1) * size + column] = first[size - 1 - column];
    }
    matrix
}

/// A number as `value * 2^exponent`.
struct Scaled {
    value: f64,
    exponent: i32,
}

/// The element on the diagonal at `centre` of `matrix` to the power of `n`.
fn raise(matrix: &[f64], size: usize, n: u64, centre: usize) -> Scaled {
    let mut base = matrix.to_vec();
    let mut result = vec![0.0; size * size];
    for i in 0..size {
        result[i * size + i] = 1.0;
    }
    let (mut base_exponent, mut exponent) = (0, 0);
    let mut left = n;
    while left > 0 {
        if left % 2 == 1 {
            result = multiply(&result, &base, size);
            exponent += base_exponent;
        }
        base = multiply(&base, &base, size);
        base_exponent *= 2;
        if base[centre * size + centre].abs() > SCALE {
            for value in &mut base {
                *value /= SCALE;
            }
            base_exponent += SCALE_EXPONENT;
        }
        left /= 2;
    }
    Scaled { value: result[centre * size + centre], exponent }
}

fn multiply(a: &[f64], b: &[f64], size: usize) -> Vec<f64> {
    let mut product = vec![0.0; size * size];
    for (row, out) in product.chunks_exact_mut(size).enumerate() {
        for (k, b_row) in b.chunks_exact(size).enumerate() {
            let factor = a[row * size + k];
            if factor != 0.0 {
                for (value, other) in out.iter_mut().zip(b_row) {
                    *value += factor * other;
                }
            }
        }
    }
    product
}

/// The Pelz-Good approximation to `P(D_n <= x)` (1976): Kolmogorov's limit with three terms of correction in `1/√n`.
fn pelz_good(n: f64, x: f64) -> f64 {
    let z = n.sqrt() * x;
    let (z2, z3, z4, z6) = (z * z, z.powi(3), z.powi(4), z.powi(6));
    let (pi2, pi4, pi6) = (PI.powi(2), PI.powi(4), PI.powi(6));
    let ln_q = -pi2 / 8.0 / z2;
    if ln_q < -708.0 {
        return 0.0;
    }
    let q = ln_q.exp();
    let k1 = [-z2, pi2 / 4.0];
    let k2 = [6.0 * z6 + 2.0 * z4, (2.0 * z4 - 5.0 * z2) * pi2 / 4.0, pi4 * (1.0 - 2.0 * z2) / 16.0];
    let k3 = [
        -30.0 * z6 - 90.0 * z.powi(8),
        pi2 * (135.0 * z4 - 96.0 * z6) / 4.0,
        pi4 * (-60.0 * z2 + 212.0 * z4) / 16.0,
        pi6 * (5.0 - 30.0 * z2) / 64.0,
    ];
    let terms_max = (16.0 * z / PI).ceil() as i32;

    let mut sums = [0.0; 4];
    for k in (1..=terms_max).rev() {
        let odd = f64::from(2 * k - 1).powi(2);
        let power = q.powi(8 * k);
        let terms = [
            1.0,
            k1[0] + k1[1] * odd,
            k2[0] + k2[1] * odd + k2[2] * odd.powi(2),
            k3[0] + k3[1] * odd + k3[2] * odd.powi(2) + k3[3] * odd.powi(3),
        ];
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum = *sum * power + term;
        }
    }
    let root_two_pi = (2.0 * PI).sqrt();
    for (sum, divisor) in sums.iter_mut().zip([z, 6.0 * z4, 72.0 * z.powi(7), 6480.0 * z.powi(10)]) {
        *sum *= q * root_two_pi / divisor;
    }

    let q = (-pi2 / 2.0 / z2).exp();
    let (mut extra2, mut extra3) = (0.0, 0.0);
    for k in 1..=terms_max {
        let square = f64::from(k).powi(2);
        let weighted = square * q.powf(square);
        extra2 += weighted;
        extra3 += (3.0 * z2 - pi2 * square) * weighted;
    }
    sums[2] += extra2 * pi2 * root_two_pi / (-36.0 * z3);
    sums[3] += extra3 * pi2 * root_two_pi / (216.0 * z6);

    sums[0] + sums[1] / n.sqrt() + sums[2] / n + sums[3] / n.powf(1.5)
}
