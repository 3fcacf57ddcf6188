//! The effective configuration: defaults < `mainspring.yaml` target < environment < flags, read once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use mainspring_flow::openlineage::Destination;
use mainspring_govern::{Authorizer, SECRETS_KEY, Vault};
use mainspring_spec::{Project, QueryLimits, Target};
use serde::{Serialize, Serializer};

use crate::args::{self, Cli, ServeArgs};
use crate::output::Failure;

/// The folder inside a project that holds everything the program knows.
pub const STATE: &str = ".mainspring";

/// Where to work, before anything there has been read.
#[derive(Debug, Clone)]
pub struct Place {
    /// The project folder.
    pub folder: PathBuf,
    /// The target's name.
    pub target: String,
    /// Memory for queries, as said by flag or environment.
    pub memory: Option<String>,
}

impl Place {
    /// The place that the command line names.
    pub fn of(cli: &Cli) -> Self {
        Self { folder: cli.directory.clone(), target: cli.target.clone(), memory: cli.memory.clone() }
    }

    /// The same settings in another folder.
    pub fn at(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self.clone() }
    }

    /// Reads the project folder; every error in it is shown.
    pub fn project(&self) -> Result<Project, Failure> {
        let file = self.folder.join("mainspring.yaml");
        if !file.is_file() {
            return Err(Failure::hinted(
                anyhow!("there is no mainspring.yaml in {}", self.folder.display()),
                "`mainspring init` writes a project there, and -C DIR works in another folder",
            ));
        }
        let project = mainspring_spec::load(&self.folder).map_err(|diagnostics| does_not_validate(&diagnostics))?;
        // a policy that does not parse must not become the applied one: nobody could be judged by it
        Authorizer::new(&project.policies).map_err(|error| {
            Failure::hinted(
                anyhow::Error::from(error).context("the project does not validate"),
                "mend the policy and try again; `mainspring validate` shows only these",
            )
        })?;
        Ok(project)
    }

    /// As [`Self::project`], and everything in it compiles too: what is about to be applied.
    pub async fn compiled_project(&self) -> Result<Project, Failure> {
        let project = self.project()?;
        let mistakes = mistakes(&project).await;
        if mistakes.is_empty() {
            return Ok(project);
        }
        let diagnostics = match mainspring_spec::load_traced(&self.folder) {
            Ok((_, positions)) => positions.locate(&mistakes),
            // it was changed in between
            Err(diagnostics) => diagnostics,
        };
        Err(does_not_validate(&diagnostics))
    }

    /// The declared project of a folder that must have one, or the state of one. A folder that does not validate at the
    /// moment can still be worked with as it was applied, unless its targets say where the state is.
    pub fn project_or_applied(&self) -> Result<Option<Project>, Failure> {
        let file = self.folder.join(mainspring_spec::PROJECT_FILE);
        let Ok(text) = std::fs::read_to_string(&file) else {
            return if self.folder.join(STATE).is_dir() { Ok(None) } else { self.project().map(Some) };
        };
        match self.project() {
            Ok(project) => Ok(Some(project)),
            Err(failure) if text.lines().any(|line| line.starts_with("targets")) => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// The configuration for a project, or for a folder without one.
    pub fn config(&self, project: Option<&Project>) -> Result<Config, Failure> {
        let none = Target::default();
        let target = match project {
            None => &none,
            Some(project) => match project.file.targets.get(&self.target) {
                Some(target) => target,
                None if self.target == "dev" => &none,
                None => {
                    let mut known: Vec<&str> = project.file.targets.keys().map(String::as_str).collect();
                    if !known.contains(&"dev") {
                        known.insert(0, "dev");
                    }
                    return Err(Failure::hinted(
                        anyhow!("mainspring.yaml has no target `{}`", self.target),
                        format!("declare it under `targets:`, or use one of: {}", known.join(", ")),
                    ));
                }
            },
        };
        let state = self.folder.join(STATE);
        let memory_bytes = match self.memory.as_ref().or(target.memory.as_ref()) {
            None => mainspring_lake::default_memory_bytes(),
            Some(text) => mainspring_lake::parse_memory(text).context("memory")?,
        };
        let address = |key: &str, text: &String| -> anyhow::Result<SocketAddr> {
            args::address(text).map_err(|reason| anyhow!("`{key}: {text}`: {reason}"))
        };
        let listen = target.listen.as_ref().map(|text| address("listen", text)).transpose()?;
        let grpc = target.grpc.as_ref().map(|text| address("grpc", text)).transpose()?;
        Ok(Config {
            target: self.target.clone(),
            folder: self.folder.clone(),
            catalog: target.catalog.clone().unwrap_or_else(|| format!("sqlite:{}", state.join("catalog.db").display())),
            lake: target.lake.clone().unwrap_or_else(|| state.join("lake").display().to_string()),
            online: self.online(target, &state)?,
            artifacts: state.join("artifacts"),
            tracking: state.join("tracking"),
            files: target.files.clone().unwrap_or_else(|| state.join("files").display().to_string()),
            allow_private_webhooks: target.allow_private_webhooks,
            secrets_key: secrets_key()?,
            spill: state.join("spill"),
            state,
            memory_bytes,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7878))),
            grpc,
            lineage: self.lineage(target),
            query: target.query.clone(),
        })
    }

    /// Where lineage events go; validation has seen that it is one of the two.
    fn lineage(&self, target: &Target) -> Option<Destination> {
        let lineage = target.lineage.as_ref()?;
        let file = || lineage.file.as_ref().map(|file| Destination::File(self.folder.join(file)));
        lineage.url.clone().map(Destination::Url).or_else(file)
    }

    fn online(&self, target: &Target, state: &Path) -> Result<PathBuf, Failure> {
        match target.online.as_deref() {
            None => Ok(state.join("online")),
            Some(url) => match url.strip_prefix("fjall:") {
                Some(path) => Ok(self.folder.join(path)),
                None => Err(Failure::hinted(
                    anyhow!("the online store `{url}` of target `{}` is of no kind that is built in", self.target),
                    "write fjall:PATH, or leave it out for the embedded store",
                )),
            },
        }
    }
}

/// The effective configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// The target's name.
    pub target: String,
    /// The project folder.
    pub folder: PathBuf,
    /// The metadata database.
    pub catalog: String,
    /// Where tables lie.
    pub lake: String,
    /// The online store's folder.
    pub online: PathBuf,
    /// Where artifacts lie.
    pub artifacts: PathBuf,
    /// Where the points of metrics lie that clients log.
    pub tracking: PathBuf,
    /// Where the files lie that clients log.
    pub files: String,
    /// Whether webhooks may be sent to this machine and to private addresses.
    pub allow_private_webhooks: bool,
    /// What secrets are sealed with. No flag and no file has it: other users of the machine see flags, and files are shared.
    #[serde(serialize_with = "masked")]
    pub secrets_key: Vault,
    /// Where queries spill.
    pub spill: PathBuf,
    /// Everything else the program keeps.
    pub state: PathBuf,
    /// Memory for queries.
    pub memory_bytes: u64,
    /// Threads for queries.
    pub threads: usize,
    /// The address of the HTTP port.
    pub listen: SocketAddr,
    /// The address of the gRPC port, when there is one.
    pub grpc: Option<SocketAddr>,
    /// Who is told of runs.
    pub lineage: Option<Destination>,
    /// How much one query by a client may bring.
    pub query: QueryLimits,
}

impl Config {
    /// Takes over what a server is told by its flags and the environment.
    pub fn take(&mut self, told: &ServeArgs) {
        self.listen = told.listen.unwrap_or(self.listen);
        self.grpc = told.grpc.or(self.grpc);
        self.allow_private_webhooks |= told.allow_private_webhooks;
    }
}

/// The keys that the environment names.
fn secrets_key() -> Result<Vault, Failure> {
    let Some(text) = std::env::var_os(SECRETS_KEY) else { return Ok(Vault::default()) };
    Vault::parse(&text.to_string_lossy()).map_err(|error| {
        Failure::hinted(
            error,
            "`openssl rand -hex 32` makes a key; of several, separated by commas, the first seals and each opens",
        )
    })
}

/// How many keys there are, and nothing else of them.
fn masked<S: Serializer>(vault: &Vault, serializer: S) -> Result<S::Ok, S::Error> {
    match vault.key_count() {
        0 => serializer.serialize_none(),
        count => serializer.serialize_str(&vec!["***"; count].join(",")),
    }
}

fn does_not_validate(diagnostics: &mainspring_spec::Diagnostics) -> Failure {
    Failure::hinted(
        anyhow!("the project does not validate\n\n{diagnostics}"),
        "mend the folder and try again; `mainspring validate` shows only these",
    )
}

/// What the engine says of a project's SQL, before there is a row: names and types that do not fit.
pub async fn mistakes(project: &Project) -> Vec<mainspring_spec::Mistake> {
    let blueprint = mainspring_lake::Blueprint::default();
    let mut mistakes = mainspring_ingest::dry_run(project, &blueprint.state());
    mistakes.extend(mainspring_features::dry_run(project, &blueprint).await);
    mistakes.extend(mainspring_train::dry_run(project, &blueprint).await);
    mistakes
}
