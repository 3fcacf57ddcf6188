//! `register`, `deploy` and `undeploy`: a model that came from elsewhere, into the registry, to an endpoint, and away.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use mainspring_kernel::ARTIFACT_BYTES_MAX;
use mainspring_registry::{Deploy, Deployed, Error as RegistryError};
use mainspring_spec::{ObjectKind, Project};
use reqwest::StatusCode;

use super::principal;
use super::project::{commit, plan_of};
use super::serve::address_of_running;
use crate::args::{DeployArgs, RegisterArgs, UndeployArgs};
use crate::config::Place;
use crate::output::{self, Failure, GOOD, SOFT, talk};
use crate::wiring::Stores;

/// How long a running server may take to follow: it looks every second.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);

/// `register`.
pub async fn register(place: &Place, args: RegisterArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_folder(place).await?;
    let shown = args.file.display();
    let size = std::fs::metadata(&args.file).with_context(|| format!("cannot read {shown}"))?.len();
    if size > ARTIFACT_BYTES_MAX as u64 {
        return Err(
            anyhow!("{shown} has {size} bytes, more than the {ARTIFACT_BYTES_MAX} that a model may have").into()
        );
    }
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read {shown}"))?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let version = stores.registry.register_file(&args.model, &name, bytes, &args.description, &principal()).await?;
    output::text(&format!("{} {} is registered", version.model, version.version))?;
    talk(&format!("{GOOD}hint:{GOOD:#} mainspring deploy {} --version {}", version.model, version.version));
    Ok(ExitCode::SUCCESS)
}

/// `deploy`.
pub async fn deploy(place: &Place, args: DeployArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_folder(place).await?;
    let wanted = Deploy {
        model: args.model,
        endpoint: args.endpoint,
        version: args.version,
        alias: args.alias,
        reason: args.reason,
    };
    let deployed = if place.folder.join(mainspring_spec::PROJECT_FILE).is_file() {
        in_project(place, &stores, &wanted).await?
    } else {
        stores.registry.deploy(&wanted, &principal()).await?
    };
    let Deployed { endpoint, model, version, alias } = &deployed;
    output::text(&format!("{endpoint} answers with {model} {version} ({alias})"))?;
    match address_of_running(&stores.config.state).await {
        Some(url) if follows(&url, endpoint, *version).await => {
            talk(&format!("{SOFT}ask it:{SOFT:#} POST {url}/v2/models/{endpoint}/infer"));
        }
        Some(url) => talk(&format!("the server at {url} has not followed yet; `mainspring list endpoints` shows when")),
        None => talk(&format!("{GOOD}hint:{GOOD:#} mainspring serve")),
    }
    Ok(ExitCode::SUCCESS)
}

/// `undeploy`.
pub async fn undeploy(place: &Place, args: UndeployArgs) -> Result<ExitCode, Failure> {
    let stores = Stores::of_folder(place).await?;
    let name = args.endpoint;
    // The registry knows what is applied; what the folder declares would be there again with the next `apply`. What a folder
    // declares that does not validate is not known, and holds nothing up.
    if place.project_or_applied()?.is_some_and(|project| project.endpoints.contains_key(&name)) {
        return Err(RegistryError::EndpointDeclared(name).into());
    }
    stores.registry.undeploy(&name, &principal()).await?;
    output::text(&format!("{name} is no longer an endpoint; the versions of its model stay"))?;
    if let Some(url) = address_of_running(&stores.config.state).await {
        let ready = format!("{url}/v2/models/{name}/ready");
        if !answers(&ready, |status| status == StatusCode::NOT_FOUND).await {
            talk(&format!("the server at {url} has not followed yet; it looks every second"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// In a project an endpoint is declared, so its file is written and applied.
async fn in_project(place: &Place, stores: &Stores, wanted: &Deploy) -> Result<Deployed, Failure> {
    let name = wanted.endpoint_name()?;
    let before = place.project()?;
    match before.endpoints.get(name) {
        Some(endpoint) if endpoint.model != wanted.model || endpoint.alias != wanted.alias => {
            return Err(Failure::hinted(
                anyhow!("the endpoint {name} is declared over {} by its alias {}", endpoint.model, endpoint.alias),
                format!("change its file and `mainspring apply`, or name another endpoint: --as {name}_2"),
            ));
        }
        _ => {}
    }
    // the gates speak before a file is written
    let live = stores.registry.bring_live(wanted, &principal()).await?;
    if !before.endpoints.contains_key(name) {
        let file = write_declaration(place, &before, name, wanted)?;
        talk(&format!("wrote {}", file.display()));
    }
    apply_endpoint(place, stores, name).await?;
    Ok(Deployed { endpoint: name.into(), model: live.model, version: live.version, alias: wanted.alias.clone() })
}

fn write_declaration(
    place: &Place,
    project: &Project,
    name: &str,
    wanted: &Deploy,
) -> Result<std::path::PathBuf, Failure> {
    let file = Path::new("endpoints").join(format!("{name}.yaml"));
    let path = place.folder.join(&file);
    // text in quotes is the same in JSON and in YAML
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!("endpoint: {name}\nmodel: {}\n", quoted(&wanted.model));
    if !project.models.contains_key(&wanted.model) {
        text.push_str("# no file declares the model: its versions are in the registry\nregistered: true\n");
    }
    text.push_str(&format!("alias: {}\n", quoted(&wanted.alias)));
    std::fs::create_dir_all(place.folder.join("endpoints")).context("cannot make the folder endpoints")?;
    let mut options = std::fs::File::options();
    let written = options.write(true).create_new(true).open(&path).and_then(|mut file| {
        use std::io::Write;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

/// Applies the folder, if the endpoint is all that is new in it.
async fn apply_endpoint(place: &Place, stores: &Stores, name: &str) -> Result<(), Failure> {
    let project = place.project()?;
    let plan = plan_of(&stores.catalog, &project).await?;
    let is_it =
        |change: &mainspring_spec::Change| change.object.kind == ObjectKind::Endpoint && change.object.name == name;
    if plan.changes.iter().all(is_it) {
        if !plan.is_empty() {
            commit(&stores.catalog, &project, &plan).await?;
        }
        return Ok(());
    }
    Err(Failure::hinted(
        anyhow!("the endpoint {name} is declared and not yet applied: other changes in the folder wait too"),
        "`mainspring plan` shows them, `mainspring apply` makes them so, and the endpoint answers",
    ))
}

/// Whether a running server puts the version behind the endpoint in time.
async fn follows(url: &str, endpoint: &str, version: u64) -> bool {
    let ready = format!("{url}/v2/models/{endpoint}/versions/{version}/ready");
    answers(&ready, |status| status.is_success()).await
}

/// Whether a running server answers as it should in time.
async fn answers(url: &str, is_so: impl Fn(StatusCode) -> bool) -> bool {
    let until = tokio::time::Instant::now() + FOLLOWED_WITHIN;
    while tokio::time::Instant::now() < until {
        if reqwest::get(url).await.is_ok_and(|answer| is_so(answer.status())) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
