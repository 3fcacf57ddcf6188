//! The rules that a folder's objects must keep together: every name resolves, every expression parses, nothing is circular.

use crate::diagnostic::Diagnostics;
use crate::model::Project;
use crate::trace::Positions;

pub(crate) mod names;

pub use names::{mended_name, name_problem};

/// Finds what is wrong with the objects of a project whose shapes are right.
pub(crate) fn project(_project: &Project, positions: &Positions, diagnostics: &mut Diagnostics) {
    names::check(positions, diagnostics);
}
