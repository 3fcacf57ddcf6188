//! Endpoints, monitors and workflows.

use super::context::{Context, Path};
use super::names::name_problem;
use super::predictor::{check_bounds, check_metric};
use crate::diagnostic::{quote, suggest};
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{Endpoint, Monitor, Task, Workflow};

pub(super) fn check_endpoint(context: &mut Context<'_>, endpoint: &Endpoint) {
    let object = ObjectRef::new(ObjectKind::Endpoint, &endpoint.name);
    if !endpoint.registered {
        context.report_unknown(&object, &["model".into()], ObjectKind::Model, &endpoint.model);
    } else if context.is_declared(ObjectKind::Model, &endpoint.model) {
        let message = format!("{} is declared here, so it is not only in the registry", quote(&endpoint.model));
        context.report(&object, &["registered".into()], "contradiction", message, "leave out `registered`");
    }
    if let Some(problem) = name_problem(&endpoint.alias) {
        let message = format!("{} cannot be an alias: {problem}", quote(&endpoint.alias));
        context.report(&object, &["alias".into()], "bad_name", message, "write for example `champion`");
    }
    let limits = &endpoint.limits;
    for (key, is_zero) in [
        ("concurrency", limits.concurrency == 0),
        ("rows", limits.rows == 0),
        ("timeout", limits.timeout.as_micros() == 0),
    ] {
        if is_zero {
            let help = format!("leave out `{key}`, or write more than 0");
            context.report(&object, &["limits".into(), key.into()], "out_of_range", "nothing would be let in", help);
        }
    }
    if endpoint.log.queue == 0 && endpoint.log.enabled {
        let help = "write `enabled: false`, or a queue of more than 0";
        context.report(
            &object,
            &["log".into(), "queue".into()],
            "out_of_range",
            "every prediction would be shed",
            help,
        );
    }
    let task = context.project.models.get(&endpoint.model).map(|model| model.task);
    if let (Some(constant), Some(Task::Binary)) = (endpoint.fallback.constant, task)
        && !(0.0..=1.0).contains(&constant)
    {
        let message = format!("{constant} is not a probability, which is what the model answers");
        let path: Path<'_> = &["fallback".into(), "constant".into()];
        context.report(&object, path, "out_of_range", message, "write a number from 0 to 1");
    }
}

pub(super) fn check_monitor(context: &mut Context<'_>, monitor: &Monitor) {
    let object = ObjectRef::new(ObjectKind::Monitor, &monitor.name);
    context.report_unknown(&object, &["endpoint".into()], ObjectKind::Endpoint, &monitor.endpoint);
    let drift = &monitor.drift;
    for (key, bound, most) in [
        ("psi", drift.psi, f64::MAX),
        ("ks", drift.ks, 1.0),
        ("jensen_shannon", drift.jensen_shannon, 1.0),
        ("wasserstein", drift.wasserstein, f64::MAX),
        ("chi_square_p", drift.chi_square_p, 1.0),
    ] {
        if bound.is_some_and(|bound| !(bound > 0.0 && bound <= most)) {
            let message = format!("{} cannot be a bound of `{key}`", bound.unwrap_or_default());
            let help =
                if most == 1.0 { "write a number between 0 and 1" } else { "write a number above 0, such as 0.2" };
            context.report(&object, &["drift".into(), key.into()], "out_of_range", message, help);
        }
    }
    let project = context.project;
    if project.endpoints.get(&monitor.endpoint).is_some_and(|endpoint| endpoint.registered) {
        let message = format!("the model of endpoint {} was not trained here", quote(&monitor.endpoint));
        let help = "a monitor compares with the rows a model was trained on: name an endpoint whose model is declared";
        context.report(&object, &["endpoint".into()], "no_training_rows", message, help);
        return;
    }
    let Some(model) = project.endpoints.get(&monitor.endpoint).and_then(|e| project.models.get(&e.model)) else {
        return;
    };
    for (at, bound) in monitor.performance.iter().enumerate() {
        let path: Path<'_> = &["performance".into(), at.into()];
        check_metric(context, &object, path, &bound.metric, model.task);
        check_bounds(context, &object, path, bound.min, bound.max, None);
    }
    let Ok(resolved) = project.resolve_model(&model.name) else { return };
    let known: Vec<&str> = resolved.inputs.iter().map(crate::resolve::InputRef::name).collect();
    for (at, feature) in drift.features.iter().enumerate().filter(|(_, feature)| !known.contains(&feature.as_str())) {
        let message = format!("model `{}` has no input {}", model.name, quote(feature));
        let help = suggest(feature, known.iter().copied()).unwrap_or_default();
        context.report(&object, &["drift".into(), "features".into(), at.into()], "unknown_feature", message, help);
    }
}

pub(super) fn check_workflow(context: &mut Context<'_>, workflow: &Workflow) {
    let object = ObjectRef::new(ObjectKind::Workflow, &workflow.name);
    let kinds =
        [ObjectKind::Source, ObjectKind::FeatureView, ObjectKind::Model, ObjectKind::Endpoint, ObjectKind::Monitor];
    if workflow.targets.is_empty() {
        let help = "list names of sources, feature views, models, endpoints or monitors";
        context.report(&object, &["targets".into()], "empty_value", "the workflow would run nothing", help);
    }
    for (at, target) in workflow.targets.iter().enumerate() {
        let (kind, name) = target.split_once(':').map_or((None, target.as_str()), |(kind, name)| (Some(kind), name));
        let wanted = kinds.iter().filter(|k| kind.is_none_or(|kind| k.as_str() == kind));
        if wanted.clone().any(|kind| context.is_declared(*kind, name) || context.positions.is_unread(*kind)) {
            continue;
        }
        let known: Vec<String> = wanted.flat_map(|kind| context.names(*kind)).collect();
        let message = format!("nothing that can be run is called {}", quote(target));
        let help = suggest(name, known.iter().map(String::as_str));
        let help = help.unwrap_or_else(|| "write a name, or kind and name as in `model:arrival_delay`".into());
        context.report(&object, &["targets".into(), at.into()], "unknown_reference", message, help);
    }
}
