//! The project folder: what a user declares, as types.
//!
//! In comes a folder of YAML files (`sources/`, `features/`, `models/`, `endpoints/`, `monitors/`, `workflows/`,
//! `policies/`); out goes a [`Project`], in which every name that one object uses for another is known to exist, and
//! which nothing below this crate needs to check again. Declarations are data: nothing here runs them, opens a
//! database or reads a row.
//!
//! [`load`] reads a folder in four steps: bytes to a tree of values that know their places, the tree compared with the
//! JSON Schema of its kind ([`schema()`]), the tree to types, and the types checked against each other. Each step
//! collects [`Diagnostics`], so that one run tells of many mistakes. [`Project`] then answers what names mean
//! ([`Project::resolve_model`], [`Project::request_fields`]) and what needs what ([`Project::dependencies`]); [`diff`] tells
//! what applying a changed folder would cost.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod check;
mod diagnostic;
mod diff;
mod error;
mod graph;
mod init;
mod load;
pub mod model;
mod resolve;
mod schema;
mod shape;
mod sql;
mod trace;
mod tree;
mod typed;

pub use check::{PREDICTION_LOG_COLUMNS, mended_name, metrics, name_problem, parse_bytes};
pub use diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Diagnostics, Look};
pub use diff::{Action, Change, ChangeClass, Detail, Plan, diff};
pub use error::{Error, Result};
pub use graph::{Dependency, ObjectKind, ObjectRef};
pub use init::{init, init_with};
pub use load::{FILE_BYTES_MAX, FILES_MAX, PROJECT_FILE, load, load_traced};
pub use model::*;
pub use resolve::{InputRef, ResolvedModel, ServiceFeature};
pub use schema::{KINDS_WITH_SCHEMA, file_schema, schema};
pub use sql::{SQL_BYTES_MAX, SqlError, column_names, table_names};
pub use trace::{Mistake, Positions, UnknownName};
