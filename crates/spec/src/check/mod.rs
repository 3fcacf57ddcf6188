//! The rules that a folder's objects must keep together: every name resolves, every expression parses, nothing is circular.
//!
//! An object of a wrong shape is not in the project, but its name is known: what refers to it is not called wrong.

mod context;
mod cycle;
mod expression;
mod feature;
mod folder;
mod metric;
mod names;
mod predictor;
mod request;
mod serving;
mod source;

pub use folder::parse_bytes;
pub use metric::metrics;
pub use names::{mended_name, name_problem};
pub use request::PREDICTION_LOG_COLUMNS;

use crate::diagnostic::Diagnostics;
use crate::model::Project;
use crate::trace::Positions;
use context::Context;

/// Finds what is wrong with the objects of a project whose shapes are right.
pub(crate) fn project(project: &Project, positions: &Positions, diagnostics: &mut Diagnostics) {
    let mut context = Context { project, positions, diagnostics };
    names::check(&mut context);
    folder::check(&mut context);
    project.sources.values().for_each(|source| source::check(&mut context, source));
    project.entities.values().for_each(|entity| feature::check_entity(&mut context, entity));
    project.feature_views.values().for_each(|view| feature::check_view(&mut context, view));
    project.feature_services.values().for_each(|service| feature::check_service(&mut context, service));
    let acyclic = cycle::check(&mut context);
    project.models.values().for_each(|model| predictor::check(&mut context, model));
    if acyclic {
        project.models.values().for_each(|model| request::check(&mut context, model));
    }
    project.endpoints.values().for_each(|endpoint| serving::check_endpoint(&mut context, endpoint));
    project.monitors.values().for_each(|monitor| serving::check_monitor(&mut context, monitor));
    project.workflows.values().for_each(|workflow| serving::check_workflow(&mut context, workflow));
}
