//! What is, as JSON.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use mainspring_catalog::AuditQuery;
use mainspring_govern::Resource;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::http::{Caller, Problem};
use crate::views::{self, Look, Personal};

/// Entries of a list when no limit is given.
const LIMIT: usize = 100;

type Answer<T> = Result<Json<T>, Problem>;

/// A list, under its own name so that more can be said beside it later.
#[derive(Debug, Serialize)]
pub struct Items<T> {
    items: Vec<T>,
}

fn items<T>(items: Vec<T>) -> Json<Items<T>> {
    Json(Items { items })
}

/// How much of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Only those that belong to this object.
    of: Option<String>,
    /// The most entries.
    limit: Option<usize>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT)
    }
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

pub async fn sources((State(app), Extension(caller)): Asked) -> Answer<Items<views::SourceView>> {
    Ok(items(views::sources(&look_over(&app, &caller).await?).await?))
}

pub async fn tables((State(app), Extension(caller)): Asked) -> Answer<Items<views::TableView>> {
    Ok(items(views::tables(&look_over(&app, &caller).await?).await?))
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

pub async fn files((State(app), Extension(caller)): Asked, Query(page): Query<Page>) -> Answer<Items<views::FileView>> {
    let look = look_over(&app, &caller).await?;
    Ok(items(views::files(&look, page.of.as_deref(), page.limit()).await?))
}

pub async fn features((State(app), Extension(caller)): Asked) -> Answer<Items<views::FeatureView>> {
    Ok(items(views::feature_views(&look_over(&app, &caller).await?).await?))
}

pub async fn feature_view(
    (State(app), Extension(caller)): Asked,
    Path(name): Path<String>,
) -> Answer<views::FeatureDetail> {
    let look = look_at(&app, &caller, "view.read", "view", &name).await?;
    Ok(Json(views::feature_view(&look, &name).await?))
}

pub async fn models((State(app), Extension(caller)): Asked) -> Answer<Items<views::ModelView>> {
    Ok(items(views::models(&look_over(&app, &caller).await?).await?))
}

pub async fn model((State(app), Extension(caller)): Asked, Path(name): Path<String>) -> Answer<views::ModelDetail> {
    let look = look_at(&app, &caller, "model.read", "model", &name).await?;
    Ok(Json(views::model(&look, &name).await?))
}

pub async fn versions(
    (State(app), Extension(caller)): Asked,
    Path(name): Path<String>,
) -> Answer<Items<views::VersionView>> {
    let look = look_at(&app, &caller, "model.read", "model", &name).await?;
    Ok(items(views::versions(&look, &name).await?))
}

pub async fn runs((State(app), Extension(caller)): Asked, Query(page): Query<Page>) -> Answer<Items<views::RunView>> {
    let look = look_over(&app, &caller).await?;
    Ok(items(views::runs(&look, page.of.as_deref(), page.limit()).await?))
}

pub async fn run((State(app), Extension(caller)): Asked, Path(id): Path<String>) -> Answer<views::RunDetail> {
    let look = look_at(&app, &caller, "run.read", "run", &id).await?;
    Ok(Json(views::run(&look, &id).await?))
}

pub async fn endpoints((State(app), Extension(caller)): Asked) -> Answer<Items<views::EndpointView>> {
    Ok(items(views::endpoints(&look_over(&app, &caller).await?).await?))
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
    Query(page): Query<Page>,
) -> Answer<Items<views::WorkflowView>> {
    let look = look_over(&app, &caller).await?;
    Ok(items(views::workflows(&look, page.limit()).await?))
}

pub async fn workflow((State(app), Extension(caller)): Asked, Path(id): Path<String>) -> Answer<views::WorkflowDetail> {
    let look = look_at(&app, &caller, "workflow.read", "workflow", &id).await?;
    Ok(Json(views::workflow(&look, &id).await?))
}

pub async fn monitors((State(app), Extension(caller)): Asked) -> Answer<Items<views::MonitorView>> {
    Ok(items(views::monitors(&look_over(&app, &caller).await?).await?))
}

pub async fn monitor((State(app), Extension(caller)): Asked, Path(name): Path<String>) -> Answer<views::MonitorDetail> {
    let look = look_at(&app, &caller, "monitor.read", "monitor", &name).await?;
    Ok(Json(views::monitor(&look, &name).await?))
}

pub async fn reports(
    (State(app), Extension(caller)): Asked,
    Path(name): Path<String>,
) -> Answer<Items<views::WindowView>> {
    let look = look_at(&app, &caller, "monitor.read", "monitor", &name).await?;
    Ok(items(views::reports(&look, &name).await?))
}

pub async fn alerts(
    (State(app), Extension(caller)): Asked,
    Query(page): Query<Page>,
) -> Answer<Items<views::AlertView>> {
    let look = look_over(&app, &caller).await?;
    Ok(items(views::alerts(&look, page.of.as_deref(), page.limit()).await?))
}

/// Which entries of the audit log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPart {
    subject: Option<String>,
    principal: Option<String>,
    action: Option<String>,
    before: Option<i64>,
    limit: Option<usize>,
}

pub async fn audit((State(app), Extension(caller)): Asked, Query(part): Query<AuditPart>) -> Answer<views::AuditPage> {
    let look = look_at(&app, &caller, "audit.read", "audit", "log").await?;
    let AuditPart { subject, principal, action, before, limit } = part;
    Ok(Json(views::audit(&look, AuditQuery { subject, principal, action, before, limit }).await?))
}

/// Whose lineage.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    node: String,
}

pub async fn lineage((State(app), Extension(caller)): Asked, Query(of): Query<Node>) -> Answer<views::Lineage> {
    let look = look_over(&app, &caller).await?;
    Ok(Json(views::lineage(&look, &of.node).await?))
}
