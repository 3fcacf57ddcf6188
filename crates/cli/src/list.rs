//! Listings.

use std::process::ExitCode;

use crate::args::{ListArgs, Listing};
use crate::config::Place;
use crate::output::Failure;

/// `list`.
pub async fn list(_place: &Place, _args: ListArgs) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}

/// `status`.
pub async fn status(_place: &Place, _shown: Listing) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
