//! What is, as JSON.

use axum::extract::State;
use axum::{Extension, Json};
use mainspring_catalog::{AuditEntry, AuditQuery, Document};
use mainspring_govern::Resource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Path, Query};
use crate::app::App;
use crate::http::{Caller, Problem};
use crate::views::{self, LISTED_MAX, Look, Personal};

/// Entries of a list when no limit is given.
const LIMIT: usize = 100;

type Answer<T> = Result<Json<T>, Problem>;

/// Part of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub struct Items<T> {
    items: Vec<T>,
    /// What to send as `after` for the items that follow; without, these are the last.
    next: Option<String>,
}

/// Part of a list, with the name of its last item when there may be more.
fn items<T>(items: Vec<T>, limit: usize, name: impl Fn(&T) -> String) -> Json<Items<T>> {
    let next = items.last().filter(|_| items.len() == limit).map(name);
    Json(Items { items, next })
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The `next` of the part before.
    after: Option<String>,
    /// The most items; 100 when it is left out.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// Which part of a list, and of what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartOf {
    /// Only those that belong to this object.
    of: Option<String>,
    /// The `next` of the part before.
    after: Option<String>,
    /// The most items; 100 when it is left out.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// Which part of a list that is numbered from the newest down.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Numbered {
    /// The `next` of the part before.
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    after: Option<u32>,
    /// The most items; 100 when it is left out.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

fn bounded(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(LIMIT) {
        limit @ 1..=LISTED_MAX => Ok(limit),
        other => Err(Problem::bad_request(format!("`limit` is {other}; it may be 1 to {LISTED_MAX}"))),
    }
}

fn page(after: Option<String>, limit: Option<usize>) -> Result<views::Page, Problem> {
    Ok(views::Page { after, limit: bounded(limit)? })
}

/// Lets the caller see one thing, and gives the look at it.
async fn look_at(app: &App, caller: &Caller, action: &str, kind: &str, name: &str) -> Result<Look, Problem> {
    caller.may(app, action, kind, name).await?;
    Ok(Look::at(app))
}

/// Lets the caller see what there is, and gives the look at it.
async fn look_over(app: &App, caller: &Caller) -> Result<Look, Problem> {
    let look = Look::at(app);
    caller.may(app, "project.read", "project", &look.project.file.project).await?;
    Ok(look)
}

type Asked = (State<App>, Extension<Caller>);

pub async fn sources(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<Part>,
) -> Answer<Items<views::SourceView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::sources(&look, &page).await?, page.limit, |item| item.source.clone()))
}

pub async fn tables(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<Part>,
) -> Answer<Items<views::TableView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::tables(&look, &page).await?, page.limit, |item| item.table.clone()))
}

pub async fn table((State(app), Extension(caller)): Asked, Path(name): Path<String>) -> Answer<views::TableDetail> {
    let look = look_at(&app, &caller, "table.read", "table", &name).await?;
    let resource = Resource::new("table", &name);
    let personal = match app.layers().authorizer.check(&caller.principal, "table.read_personal", &resource) {
        Ok(()) => Personal::Shown,
        Err(_denied) => Personal::Withheld,
    };
    Ok(Json(views::table(&look, &name, personal).await?))
}

pub async fn files(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<PartOf>,
) -> Answer<Items<views::FileView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::files(&look, part.of.as_deref(), &page).await?, page.limit, |item| item.id.clone()))
}

pub async fn features(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<Part>,
) -> Answer<Items<views::FeatureView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::feature_views(&look, &page).await?, page.limit, |item| item.view.clone()))
}

pub async fn feature_view(
    (State(app), Extension(caller)): Asked,
    Path(name): Path<String>,
) -> Answer<views::FeatureDetail> {
    let look = look_at(&app, &caller, "view.read", "view", &name).await?;
    Ok(Json(views::feature_view(&look, &name).await?))
}

pub async fn models(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<Part>,
) -> Answer<Items<views::ModelView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::models(&look, &page).await?, page.limit, |item| item.model.clone()))
}

pub async fn model((State(app), Extension(caller)): Asked, Path(name): Path<String>) -> Answer<views::ModelDetail> {
    let look = look_at(&app, &caller, "model.read", "model", &name).await?;
    Ok(Json(views::model(&look, &name).await?))
}

pub async fn versions(
    (State(app), Extension(caller)): Asked,
    Path(name): Path<String>,
    Query(part): Query<Numbered>,
) -> Answer<Items<views::VersionView>> {
    let look = look_at(&app, &caller, "model.read", "model", &name).await?;
    let limit = bounded(part.limit)?;
    let versions = views::versions(&look, &name, part.after.map(u64::from), limit).await?;
    Ok(items(versions, limit, |item| item.version.version.to_string()))
}

pub async fn runs((State(app), Extension(caller)): Asked, Query(part): Query<PartOf>) -> Answer<Items<views::RunView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::runs(&look, part.of.as_deref(), &page).await?, page.limit, |item| item.run.id.clone()))
}

pub async fn run((State(app), Extension(caller)): Asked, Path(id): Path<String>) -> Answer<views::RunDetail> {
    let look = look_at(&app, &caller, "run.read", "run", &id).await?;
    Ok(Json(views::run(&look, &id).await?))
}

pub async fn endpoints(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<Part>,
) -> Answer<Items<views::EndpointView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::endpoints(&look, &page).await?, page.limit, |item| item.endpoint.clone()))
}

pub async fn endpoint(
    (State(app), Extension(caller)): Asked,
    Path(name): Path<String>,
) -> Answer<views::EndpointDetail> {
    let look = look_at(&app, &caller, "endpoint.read", "endpoint", &name).await?;
    Ok(Json(views::endpoint(&look, &name).await?))
}

pub async fn workflows(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<Part>,
) -> Answer<Items<views::WorkflowView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::workflows(&look, &page).await?, page.limit, |item| item.run.id.clone()))
}

pub async fn workflow((State(app), Extension(caller)): Asked, Path(id): Path<String>) -> Answer<views::WorkflowDetail> {
    let look = look_at(&app, &caller, "workflow.read", "workflow", &id).await?;
    Ok(Json(views::workflow(&look, &id).await?))
}

pub async fn monitors(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<Part>,
) -> Answer<Items<views::MonitorView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::monitors(&look, &page).await?, page.limit, |item| item.monitor.clone()))
}

pub async fn monitor((State(app), Extension(caller)): Asked, Path(name): Path<String>) -> Answer<views::MonitorDetail> {
    let look = look_at(&app, &caller, "monitor.read", "monitor", &name).await?;
    Ok(Json(views::monitor(&look, &name).await?))
}

pub async fn reports(
    (State(app), Extension(caller)): Asked,
    Path(name): Path<String>,
    Query(part): Query<Part>,
) -> Answer<Items<views::WindowView>> {
    let look = look_at(&app, &caller, "monitor.read", "monitor", &name).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::reports_page(&look, &name, &page).await?, page.limit, |item| item.report.id()))
}

pub async fn alerts(
    (State(app), Extension(caller)): Asked,
    Query(part): Query<PartOf>,
) -> Answer<Items<views::AlertView>> {
    let look = look_over(&app, &caller).await?;
    let page = page(part.after, part.limit)?;
    Ok(items(views::alerts(&look, part.of.as_deref(), &page).await?, page.limit, |item| item.alert.id.clone()))
}

/// Which entries of the audit log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditPart {
    /// Only those about this, as in `model:fare@2`.
    subject: Option<String>,
    /// Only those by a principal of this name.
    principal: Option<String>,
    /// Only those whose action is this, or starts with this and a dot.
    action: Option<String>,
    /// The `next` of the part before.
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    after: Option<u32>,
    /// The most items; 100 when it is left out.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

pub async fn audit((State(app), Extension(caller)): Asked, Query(part): Query<AuditPart>) -> Answer<Items<AuditEntry>> {
    let look = look_at(&app, &caller, "audit.read", "audit", "log").await?;
    let AuditPart { subject, principal, action, after, limit } = part;
    let limit = bounded(limit)?;
    let query = AuditQuery { subject, principal, action, before: after.map(i64::from), limit: Some(limit) };
    Ok(items(views::audit(&look, query).await?.entries, limit, |entry| entry.seq.to_string()))
}

/// Whose lineage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// `kind:name` or `kind:name@version`, as in `table:sources.flights@3`.
    node: String,
}

pub async fn lineage((State(app), Extension(caller)): Asked, Query(of): Query<Node>) -> Answer<views::Lineage> {
    let look = look_over(&app, &caller).await?;
    Ok(Json(views::lineage(&look, &of.node).await?))
}
