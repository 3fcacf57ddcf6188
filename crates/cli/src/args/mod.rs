//! What can be said on the command line.

mod address;
mod cli;
mod deploy;
mod list;
mod people;
mod project;
mod serve;
mod work;

pub use address::address;
pub use cli::{Cli, Verb};
pub use deploy::{DeployArgs, RegisterArgs, UndeployArgs};
pub use list::{ListArgs, ListKind, Listing};
pub use people::{AuditVerb, KeyVerb, PromoteArgs, RollbackArgs, VersionsVerb};
pub use project::{ApplyArgs, ImportVerb, InitArgs, SchemaArgs};
pub use serve::{ConfigArgs, DemoArgs, ServeArgs};
pub use work::{FeaturesVerb, LabelsVerb, MaintainArgs, MonitorArgs, QueryArgs, RunArgs};
