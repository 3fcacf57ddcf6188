//! The folder: init, validate, plan, apply, schema, config.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use mainspring_catalog::{Catalog, Change};
use mainspring_ingest::Ingestor;
use mainspring_ingest::infer::{InferOptions, init_from};
use mainspring_lake::{Lake, TableName};
use mainspring_spec::{Action, ChangeClass, Detail, Look, ObjectKind, ObjectRef, Plan, Project};
use serde::Serialize;

use super::principal;
use crate::CHANGES;
use crate::args::{ApplyArgs, ConfigArgs, InitArgs, Listing, SchemaArgs};
use crate::config::{Place, mistakes};
use crate::output::{self, BAD, BOLD, Failure, GOOD, SOFT, WARN, count, talk};
use crate::wiring::Stores;

/// `init`.
pub async fn init(place: &Place, args: InitArgs) -> Result<ExitCode, Failure> {
    let folder = &place.folder;
    let written = match &args.from {
        None => {
            let name = args.name.unwrap_or_else(|| mainspring_spec::mended_name(&folder_name(folder)));
            mainspring_spec::init(folder, &name)?
        }
        Some(file) => {
            let options =
                InferOptions { project: args.name, name: None, label: args.label, time: args.time, key: args.key };
            let made = init_from(folder, &file.to_string_lossy(), &options).await?;
            for note in &made.notes {
                talk(&format!("{SOFT}note:{SOFT:#} {note}"));
            }
            talk(&format!("endpoint {} answers to: {}", made.endpoint, made.request));
            made.files
        }
    };
    for path in &written {
        output::text(&path.display().to_string())?;
    }
    talk(&format!(
        "{GOOD}hint:{GOOD:#} mainspring -C {0} apply && mainspring -C {0} run && mainspring -C {0} serve",
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn folder_name(folder: &std::path::Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.file_name().map_or_else(|| "project".into(), |name| name.to_string_lossy().into_owned())
}

/// `validate`.
pub async fn validate(place: &Place, shown: Listing) -> Result<ExitCode, Failure> {
    let loaded = match mainspring_spec::load_traced(&place.folder) {
        Ok((project, positions)) => match mistakes(&project).await {
            none if none.is_empty() => Ok(project),
            some => Err(positions.locate(&some)),
        },
        Err(errors) => Err(errors),
    };
    match loaded {
        Ok(project) => {
            if let Err(error) = mainspring_govern::Authorizer::new(&project.policies) {
                return bad_policies(&error, shown);
            }
            if shown.json {
                return output::json(&serde_json::json!({ "valid": true, "errors": [] }));
            }
            output::text(&format!(
                "{GOOD}valid{GOOD:#} {}: {} sources, {} feature views, {} models, {} endpoints, {} monitors",
                project.file.project,
                project.sources.len(),
                project.feature_views.len(),
                project.models.len(),
                project.endpoints.len(),
                project.monitors.len()
            ))
        }
        Err(errors) => {
            if shown.json {
                output::json(
                    &serde_json::json!({ "valid": false, "errors": errors.found, "omitted": errors.omitted }),
                )?;
            } else {
                let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                talk(&errors.render(if colour { Look::Colour } else { Look::Plain }));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Shows what is wrong with policies as mistakes of the other files are shown.
fn bad_policies(error: &mainspring_govern::Error, shown: Listing) -> Result<ExitCode, Failure> {
    let mainspring_govern::Error::Policies { problems } = error else {
        return Err(error.clone().into());
    };
    if shown.json {
        let errors: Vec<_> = problems
            .iter()
            .map(|problem| {
                serde_json::json!({
                    "file": format!("policies/{}", problem.file),
                    "line": problem.line,
                    "column": problem.column,
                    "rule": "policy",
                    "message": problem.message,
                    "help": problem.help,
                })
            })
            .collect();
        output::json(&serde_json::json!({ "valid": false, "errors": errors, "omitted": 0 }))?;
    } else {
        for problem in problems {
            talk(&format!("policy\n\n  {BAD}×{BAD:#} {problem}"));
            if let Some(help) = &problem.help {
                talk(&format!("  {GOOD}help:{GOOD:#} {help}"));
            }
            talk("");
        }
        talk(&format!("{} {}", problems.len(), if problems.len() == 1 { "mistake" } else { "mistakes" }));
    }
    Ok(ExitCode::FAILURE)
}

/// `plan`.
pub async fn plan(place: &Place, shown: Listing) -> Result<ExitCode, Failure> {
    let project = place.compiled_project().await?;
    let stores = Stores::open(place, Some(&project)).await?;
    let plan = foreseen(&stores, &project).await?;
    let rows = rows_touched(&stores.lake, &plan).await?;
    if shown.json {
        output::json(&ShownPlan { plan: &plan, rows: &rows })?;
    } else {
        show(&plan, &rows)?;
    }
    Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(CHANGES) })
}

pub(super) async fn plan_of(catalog: &Catalog, project: &Project) -> Result<Plan, Failure> {
    let applied = catalog.declared().await?;
    Ok(mainspring_spec::diff(applied.as_ref(), project))
}

/// The plan, with what the next run makes of sources that clients push rows to: whether there are such rows, which are
/// nowhere else, is not in the declarations.
async fn foreseen(stores: &Stores, project: &Project) -> Result<Plan, Failure> {
    let mut plan = plan_of(&stores.catalog, project).await?;
    let ingestor = Ingestor::new(stores.lake.clone(), stores.catalog.clone(), Arc::new(project.clone()));
    let updated = |change: &&mut mainspring_spec::Change| {
        change.object.kind == ObjectKind::Source && change.action == Action::Update
    };
    for change in plan.changes.iter_mut().filter(updated) {
        let Some(source) = project.sources.get(&change.object.name) else { continue };
        match ingestor.refusal_of_pushed(&source.name).await? {
            Some(refusal) => tell_refusal(change, &refusal),
            None if source.is_pushed() => tell_nothing_is_read(change),
            None => {}
        }
    }
    Ok(plan)
}

/// The changes of a source by which the rows of its table would be others.
fn remaking(change: &mut mainspring_spec::Change) -> impl Iterator<Item = &mut Detail> {
    let makes_rows = |path: &str| matches!(path.split('.').next(), Some("columns" | "derive" | "key"));
    change.details.iter_mut().filter(move |detail| detail.class >= ChangeClass::Recompute && makes_rows(&detail.path))
}

fn tell_refusal(change: &mut mainspring_spec::Change, refusal: &str) {
    for detail in remaking(change) {
        detail.reason = "rows that clients pushed would be others, and are in no file that could be read again".into();
    }
    change.details.push(Detail {
        path: String::new(),
        class: change.class,
        reason: format!("the next run will refuse this: {refusal}"),
        before: serde_json::Value::Null,
        after: serde_json::Value::Null,
        consumers: vec![],
    });
}

fn tell_nothing_is_read(change: &mut mainspring_spec::Change) {
    for detail in remaking(change).filter(|detail| detail.class == ChangeClass::Recompute) {
        detail.reason = "holds for rows pushed from now on; its table has none that would be others".into();
    }
}

/// A plan with what it touches.
#[derive(Serialize)]
struct ShownPlan<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// The rows of the tables that are computed anew or lost, by table.
    rows: &'a BTreeMap<TableName, u64>,
}

/// The table that holds what an object makes.
fn table_of(object: &ObjectRef) -> Option<TableName> {
    let schema = match object.kind {
        ObjectKind::Source => "sources",
        ObjectKind::FeatureView => "features",
        ObjectKind::Model => "training",
        _ => return None,
    };
    TableName::new(schema, &object.name).ok()
}

/// The tables that a change has computed anew, or that lose what keeps them up to date.
fn tables_of(change: &mainspring_spec::Change) -> BTreeSet<TableName> {
    let graver = |class: ChangeClass| class >= ChangeClass::Recompute;
    let consumers = change.details.iter().filter(|detail| graver(detail.class)).flat_map(|detail| &detail.consumers);
    let own = graver(change.class).then_some(&change.object);
    own.into_iter().chain(consumers).filter_map(table_of).collect()
}

/// How many rows the tables have now that a plan touches.
async fn rows_touched(lake: &Lake, plan: &Plan) -> Result<BTreeMap<TableName, u64>, Failure> {
    let mut rows = BTreeMap::new();
    for table in plan.changes.iter().flat_map(tables_of).collect::<BTreeSet<_>>() {
        if lake.exists(&table).await? {
            rows.insert(table.clone(), lake.statistics(&table).await?.rows);
        }
    }
    Ok(rows)
}

fn show(plan: &Plan, rows: &BTreeMap<TableName, u64>) -> Result<ExitCode, Failure> {
    if plan.is_empty() {
        return output::text(&format!("{GOOD}no changes{GOOD:#}: what is declared is what is applied"));
    }
    for change in &plan.changes {
        let style = match change.class {
            ChangeClass::Additive => GOOD,
            ChangeClass::MetadataOnly => SOFT,
            ChangeClass::Recompute => WARN,
            ChangeClass::Breaking | ChangeClass::Destructive => BAD,
        };
        output::text(&format!("{style}{:<14}{style:#} {BOLD}{}{BOLD:#}", change.class.to_string(), change.object))?;
        for detail in &change.details {
            output::text(&format!(
                "               {}",
                if detail.path.is_empty() {
                    detail.reason.clone()
                } else {
                    format!("{}: {}", detail.path, detail.reason)
                }
            ))?;
        }
        for table in tables_of(change) {
            if let Some(rows) = rows.get(&table) {
                output::text(&format!("               touches the {} rows of {table}", count(*rows)))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `apply`.
pub async fn apply(place: &Place, args: ApplyArgs) -> Result<ExitCode, Failure> {
    let project = place.compiled_project().await?;
    let stores = Stores::open(place, Some(&project)).await?;
    let plan = foreseen(&stores, &project).await?;
    let rows = rows_touched(&stores.lake, &plan).await?;
    if args.json {
        output::json(&ShownPlan { plan: &plan, rows: &rows })?;
    } else {
        show(&plan, &rows)?;
    }
    if plan.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let grave =
        plan.changes.iter().any(|change| matches!(change.class, ChangeClass::Breaking | ChangeClass::Destructive));
    if grave && !args.yes && !confirmed()? {
        return Err(Failure::hinted(
            anyhow!("nothing was applied: the plan has breaking or destructive changes"),
            "`apply --yes` applies them",
        ));
    }
    commit(&stores.catalog, &project, &plan).await?;
    talk(&format!("{GOOD}applied{GOOD:#} {} changes", plan.changes.len()));
    Ok(ExitCode::SUCCESS)
}

/// Makes the declared objects the applied ones, in one transaction.
pub async fn commit(catalog: &Catalog, project: &Project, plan: &Plan) -> Result<(), Failure> {
    let subject = format!("project:{}", project.file.project);
    let change =
        Change::new(&principal(), "project.apply", subject).detail(serde_json::to_value(plan)?).declare(project)?;
    catalog.commit(change).await?;
    Ok(())
}

/// Asks the person at the terminal; without one the answer is no.
fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let mut err = anstream::stderr();
    write!(err, "apply these changes? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// `schema`.
pub fn schema(args: SchemaArgs) -> Result<ExitCode, Failure> {
    let known = || mainspring_spec::KINDS_WITH_SCHEMA.map(|kind| kind.as_str()).join(", ");
    match (args.kind, args.out) {
        (Some(kind), _) => {
            let found = mainspring_spec::KINDS_WITH_SCHEMA.into_iter().find(|known| known.as_str() == kind);
            let Some(found) = found else {
                return Err(Failure::hinted(
                    anyhow!("there is no schema of `{kind}`"),
                    format!("the kinds are {}", known()),
                ));
            };
            output::json(&mainspring_spec::schema(found))
        }
        (None, Some(folder)) => {
            std::fs::create_dir_all(&folder)?;
            for kind in mainspring_spec::KINDS_WITH_SCHEMA {
                let file = folder.join(format!("{kind}.schema.json"));
                std::fs::write(&file, serde_json::to_string_pretty(&mainspring_spec::schema(kind))?)?;
                output::text(&file.display().to_string())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => Err(Failure::hinted(
            anyhow!("name a kind of file, or a folder with --out"),
            format!("the kinds are {}", known()),
        )),
    }
}

/// `config`.
pub fn config(place: &Place, args: &ConfigArgs) -> Result<ExitCode, Failure> {
    let project = place.folder.join(mainspring_spec::PROJECT_FILE).is_file().then(|| place.project()).transpose()?;
    let mut config = place.config(project.as_ref())?;
    config.take(&args.server);
    if args.shown.json {
        return output::json(&config);
    }
    let serde_json::Value::Object(settings) = serde_json::to_value(&config)? else { return Ok(ExitCode::SUCCESS) };
    for (name, value) in settings {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output::text(&format!("{name:<14} {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> mainspring_spec::Change {
        serde_json::from_value(serde_json::json!({
            "object": { "kind": "source", "name": "clicks" },
            "action": "update",
            "class": "recompute",
            "details": [
                { "path": "columns.id.type", "class": "recompute", "reason": "the files are read again" },
                { "path": "event_time", "class": "recompute", "reason": "what counts as known when changes" },
                { "path": "columns.note", "class": "additive", "reason": "rows that landed before have null there" },
            ],
        }))
        .unwrap()
    }

    fn reasons(change: &mainspring_spec::Change) -> Vec<&str> {
        change.details.iter().map(|detail| detail.reason.as_str()).collect()
    }

    #[test]
    fn a_change_that_the_run_refuses_says_so_and_no_other_is_reworded() {
        let mut refused = change();
        tell_refusal(&mut refused, "source `clicks` has rows that clients pushed; take that change out");

        let [columns, time, note, refusal] = reasons(&refused)[..] else { panic!("{refused:?}") };
        assert!(columns.contains("in no file"), "{columns}");
        assert!(refusal.starts_with("the next run will refuse this: source `clicks`"), "{refusal}");
        assert_eq!((time, note), ("what counts as known when changes", "rows that landed before have null there"));
    }

    #[test]
    fn without_rows_that_would_be_others_nothing_is_said_to_be_read_again() {
        let mut empty = change();
        tell_nothing_is_read(&mut empty);

        let [columns, time, _] = reasons(&empty)[..] else { panic!("{empty:?}") };
        assert!(columns.contains("rows pushed from now on"), "{columns}");
        assert_eq!(time, "what counts as known when changes");
    }
}
