//! How far a column has moved: statistics, the bins they count, and sketches of columns too large to hold.

mod bins;
mod chi_square;
mod column;
mod compare;
mod distances;
mod kolmogorov;
mod kolmogorov_smirnov;
mod parallel;
mod sketch;
mod steps;

pub use bins::*;
pub use chi_square::*;
pub use column::*;
pub use compare::*;
pub use distances::{PSI_SMOOTHING_ROWS, jensen_shannon, population_stability_index, wasserstein};
pub use kolmogorov::survival as kolmogorov_survival;
pub use kolmogorov_smirnov::{EXACT_ROWS_MAX, Gap, KolmogorovSmirnov, PValue, kolmogorov_smirnov, with_p_value};
pub use parallel::{THREADS_MAX, map as map_columns};
pub use sketch::*;
