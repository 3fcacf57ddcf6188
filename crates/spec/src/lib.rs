//! The project folder: what a user declares, as types.
//!
//! In comes a folder of YAML files (`sources/`, `features/`, `models/`, `endpoints/`, `monitors/`, `workflows/`,
//! `policies/`); out goes a [`Project`], in which every name that one object uses for another is known to exist, and
//! which nothing below this crate needs to check again. Declarations are data: nothing here runs them, opens a
//! database or reads a row.

pub mod model;

pub use model::*;
