//! Ingests a source: finds what is new, lands each file in one commit, and records it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Edge, Expect, ListQuery, Principal};
use mainspring_lake::{At, Lake, Progress, TableName, WriteId};
use mainspring_spec::{FileFormat, Project, Rule, Source};

use crate::check::Test;
use crate::content::{WriteName, sha256};
use crate::documents::{FileState, IngestedFile, TableSketch, TableVersion};
use crate::file::{Attempt, FileLanding};
use crate::keys::KeySet;
use crate::known::{Known, VALUES_MAX};
use crate::landing::Tally;
use crate::plan::Plan;
use crate::profile::{Profile, Sketch};
use crate::read::{FileRef, format_of, locate};
use crate::report::{CheckResult, FileOutcome, FileReport, IngestReport};
use crate::types::column_type;
use crate::{Error, Result};

/// A file written less than this before it was read may have been written again in the same tick of its clock, so its time proves nothing.
const CLOCK_TICK_MICROS: i64 = 2_000_000;

/// Called at named moments of an ingest; tests end the process there.
pub type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Ingests the sources of a project.
#[derive(Clone)]
pub struct Ingestor {
    pub(crate) lake: Lake,
    catalog: Catalog,
    project: Arc<Project>,
    hook: Option<Hook>,
}

/// How a file is recognised that was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recognition {
    /// One of the same name, size and time is taken for the same.
    BySizeAndTime,
    /// Its content is read.
    ByContent,
}

/// An ingest on its way.
struct Run {
    plan: Arc<Plan>,
    table: TableName,
    version: Option<u64>,
    records: Vec<IngestedFile>,
    recognition: Recognition,
    /// What the table holds; `None` until a file asks.
    known: Option<Known>,
    tally: Tally,
}

impl Ingestor {
    /// An ingestor of a project's sources into a lake.
    #[must_use]
    pub fn new(lake: Lake, catalog: Catalog, project: Arc<Project>) -> Self {
        Self { lake, catalog, project, hook: None }
    }

    /// Has a function called at named moments, for crash tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_hook(mut self, hook: Hook) -> Self {
        self.hook = Some(hook);
        self
    }

    pub(crate) fn reached(&self, moment: &'static str) {
        if let Some(hook) = &self.hook {
            hook(moment);
        }
    }

    /// Reads the files of a source that have not landed yet, in the order of their names, each in one commit.
    ///
    /// A file's content is known by its SHA-256: the same content lands once, under whatever name, also when the process
    /// is killed at any moment and the ingest is run again. A file whose content changed is read anew: with a `key` its
    /// rows replace those of the same key, without one they are added, and the report says so.
    ///
    /// # Errors
    /// When the source cannot be compiled or found, or the lake or catalog fails. A bad file is no error: it is refused,
    /// the report says why, and the others land.
    pub async fn ingest(&self, source: &str, principal: &Principal, progress: &dyn Progress) -> Result<IngestReport> {
        self.read(source, Recognition::BySizeAndTime, principal, progress).await
    }

    /// As [`ingest`](Self::ingest), and reads the content of every file again instead of trusting that one of the same
    /// size and time is the same. What has landed does not land twice.
    ///
    /// # Errors
    /// As [`ingest`](Self::ingest).
    pub async fn ingest_anew(
        &self,
        source: &str,
        principal: &Principal,
        progress: &dyn Progress,
    ) -> Result<IngestReport> {
        self.read(source, Recognition::ByContent, principal, progress).await
    }

    async fn read(
        &self,
        source: &str,
        recognition: Recognition,
        principal: &Principal,
        progress: &dyn Progress,
    ) -> Result<IngestReport> {
        let source = self.source(source)?;
        if source.is_pushed() {
            return self.ingest_pushed(source).await;
        }
        let table = table_name(&source.name)?;
        let version = self.lake.version(&table).await?;
        // Records of a table that is gone say nothing.
        let records = match version {
            Some(_) => self.records(&source.name).await?,
            None => vec![],
        };
        let files = locate(&source.path, &self.project.folder).await?;
        let referenced = self.referenced(source).await?;
        let plan = Arc::new(Plan::compile(source, &self.lake.session().state(), &referenced)?);
        let tally = Tally::new(&plan);
        let mut run = Run { plan, table, version, records, recognition, known: None, tally };
        let mut reports = Vec::with_capacity(files.len());
        for file in &files {
            let report = self.ingest_file(&mut run, file, principal, progress).await?;
            tracing::info!(source = source.name, file = report.uri, outcome = ?report.outcome, "ingested a file");
            reports.push(report);
        }
        let mut checks = run.tally.results(&run.plan);
        self.judge_freshness(&run, &mut checks).await?;
        Ok(IngestReport {
            source: source.name.clone(),
            table: run.table.to_string(),
            version: run.version,
            files: reports,
            rows_read: run.tally.read,
            rows_landed: run.tally.landed,
            rows_superseded: run.tally.superseded,
            rows_quarantined: run.tally.quarantined,
            rows_dropped: run.tally.dropped,
            checks,
        })
    }

    fn source(&self, name: &str) -> Result<&Source> {
        self.project.sources.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.project.sources.keys().map(String::as_str).collect();
            Error::UnknownSource { name: name.to_owned(), known: known.join(", ") }
        })
    }

    async fn records(&self, source: &str) -> Result<Vec<IngestedFile>> {
        let query = ListQuery { parent: Some(source.to_owned()), ..ListQuery::default() };
        let mut records: Vec<IngestedFile> =
            self.catalog.all::<IngestedFile>(query).await?.into_iter().map(|stored| stored.document).collect();
        records.sort_by_key(|record| record.ingested_at);
        Ok(records)
    }

    /// The keys of the tables that `references` checks look into, by the check's place.
    async fn referenced(&self, source: &Source) -> Result<BTreeMap<usize, Arc<KeySet>>> {
        let mut referenced = BTreeMap::new();
        for (place, check) in source.checks.iter().enumerate() {
            let Some(Rule::References(rule)) = check.rule() else { continue };
            let name = check.name.clone().unwrap_or_else(|| format!("references({})", rule.source));
            let wrong = |reason: String| Error::Check { name: source.name.clone(), check: name.clone(), reason };
            let other = self.source(&rule.source)?;
            for (here, there) in rule.columns.iter().zip(&rule.to) {
                let (ours, theirs) = (column_type(source, here), column_type(other, there));
                if ours != theirs || ours.is_none() {
                    return Err(wrong(format!("`{here}` and `{}.{there}` are not of one type", rule.source)));
                }
            }
            let table = table_name(&rule.source)?;
            if !self.lake.exists(&table).await? {
                continue;
            }
            let keys =
                crate::known::keys_of_table(&source.name, self.lake.read(&table, At::Latest).await?, &rule.to).await?;
            let keys = keys.ok_or_else(|| Error::TooManyValues {
                what: format!("source `{}`, which check `{name}` looks into,", rule.source),
                limit: VALUES_MAX,
                mend: "take the check out, or write it as a query over both tables in a monitor".into(),
            })?;
            referenced.insert(place, Arc::new(keys));
        }
        Ok(referenced)
    }

    async fn ingest_file(
        &self,
        run: &mut Run,
        file: &FileRef,
        principal: &Principal,
        progress: &dyn Progress,
    ) -> Result<FileReport> {
        let report = |outcome, notes| FileReport { uri: file.uri.clone(), outcome, notes };
        let before = run.records.iter().rev().find(|record| record.uri == file.uri && !record.is_refused()).cloned();
        let is_sure = run.recognition == Recognition::BySizeAndTime;
        if is_sure && before.as_ref().is_some_and(|before| before.is_surely(file)) {
            return Ok(report(FileOutcome::Unchanged, vec![]));
        }
        let format = run.plan.source.format.or_else(|| format_of(&file.uri));
        let (sha256, first) = match format {
            // Nothing like it was seen, so that it is new: its rows are read while its content is.
            Some(format) if !run.has_landed_like(file) => self.land_unseen(run, file, format, progress).await?,
            _ => (sha256(file).await?, None),
        };
        if let Some(mut same) = before.clone().filter(|before| before.sha256 == sha256) {
            // Written again with the same content; its new time spares the next run the hashing.
            (same.modified_at, same.ingested_at) = (file.modified_at, Timestamp::now());
            self.record(run, same, "ingest.touch", principal).await?;
            return Ok(report(FileOutcome::Unchanged, vec![]));
        }
        let keyed = !run.plan.key.is_empty();
        let mut record = IngestedFile {
            source: run.plan.source.name.clone(),
            uri: file.uri.clone(),
            sha256: sha256.clone(),
            size: file.size,
            modified_at: file.modified_at,
            state: FileState::Refused { reason: String::new() },
            landings: 1,
            ingested_at: Timestamp::now(),
        };
        let twin = run.records.iter().find(|other| other.sha256 == sha256 && other.is_landed()).cloned();
        if let Some(twin) = twin {
            if keyed && before.is_some() && twin.uri == file.uri {
                // It had another content between, whose rows replaced this one's: they are put back.
                record.landings = twin.landings + 1;
            } else {
                let notes = vec![format!("its content landed before, as `{}`", twin.uri)];
                record.state = FileState::Copy { of: twin.uri };
                self.record(run, record, "ingest.copy", principal).await?;
                return Ok(report(FileOutcome::Unchanged, notes));
            }
        }
        let Some(format) = format else {
            return Err(Error::Format { path: file.uri.clone() });
        };
        let attempt = match first {
            Some(attempt) => attempt,
            None => {
                let id = write_id(&record.source, &sha256, record.landings);
                let landed_before = self.lake.landed(&run.table, &id).await?;
                let name = WriteName::known(id);
                let (plan, table) = (&run.plan, &run.table);
                let landing = FileLanding { ingestor: self, plan, table, file, format, name, landed_before };
                landing.land(&mut run.known, progress).await?
            }
        };
        match attempt {
            Attempt::CalledOff => Err(Error::Compute {
                name: record.source,
                reason: "a file that had its name did not land; this is a defect, please report it".into(),
            }),
            Attempt::Refused(reason) => {
                record.state = FileState::Refused { reason: reason.clone() };
                let said = run.records.iter().any(|r| r.id_is(&record) && r.state == record.state);
                if !said {
                    self.record(run, record, "ingest.refuse", principal).await?;
                }
                Ok(report(FileOutcome::Refused { reason }, vec![]))
            }
            Attempt::Landed(landed) => {
                let mut notes = landed.notes.clone();
                if before.is_some() {
                    notes.push(if keyed {
                        "its content changed; its rows replaced those of the same key".into()
                    } else {
                        "its content changed; its rows were added to the earlier ones, as the source has no `key`"
                            .into()
                    });
                }
                record.state = FileState::Landed {
                    version: landed.version,
                    rows_read: landed.tally.read,
                    rows_landed: landed.tally.landed,
                    rows_quarantined: landed.tally.quarantined,
                };
                self.record_landing(run, record, &landed, principal).await?;
                run.version = Some(landed.version);
                run.tally.add(&landed.tally);
                Ok(report(FileOutcome::Landed { version: landed.version, rows: landed.tally.landed }, notes))
            }
        }
    }

    /// Lands a file whose content is not known yet, reading its rows and hashing it at once; its commits wait for the hash.
    ///
    /// Gives no attempt when the hash says that it landed before, in a run that was killed before it could record it.
    async fn land_unseen(
        &self,
        run: &mut Run,
        file: &FileRef,
        format: FileFormat,
        progress: &dyn Progress,
    ) -> Result<(String, Option<Attempt>)> {
        let (namer, name) = WriteName::awaited();
        let (plan, table) = (&run.plan, &run.table);
        let naming = async {
            let sha256 = sha256(file).await?;
            let id = write_id(&plan.source.name, &sha256, 1);
            let landed_before = self.lake.landed(table, &id).await?;
            namer.tell(Some(id).filter(|_| landed_before.is_none()));
            Ok::<_, Error>((sha256, landed_before))
        };
        let landing = FileLanding { ingestor: self, plan, table, file, format, name, landed_before: None };
        let (named, attempt) = tokio::join!(naming, landing.land(&mut run.known, progress));
        let (sha256, landed_before) = named?;
        if landed_before.is_some() {
            // What was known of the table was known with this file's rows in it.
            run.known = None;
            return Ok((sha256, None));
        }
        Ok((sha256, Some(attempt?)))
    }

    async fn record(&self, run: &mut Run, record: IngestedFile, action: &str, principal: &Principal) -> Result<()> {
        let change = Change::new(principal, action, format!("source:{}", record.source))
            .detail(serde_json::json!({"file": record.uri, "sha256": record.sha256, "state": record.state}))
            .put(&record, Expect::Any)?;
        self.catalog.commit(change).await?;
        run.remember(record);
        Ok(())
    }

    /// Records a landed file, the table's new version with its profile, and where it came from, in one transaction.
    async fn record_landing(
        &self,
        run: &mut Run,
        record: IngestedFile,
        landed: &crate::file::LandedFile,
        principal: &Principal,
    ) -> Result<()> {
        let table = run.table.to_string();
        let sketch = self.sketch_after(run, landed).await?;
        let profile = sketch.profile();
        let version = TableVersion {
            table: table.clone(),
            version: landed.version,
            rows: profile.rows,
            rows_added: landed.tally.landed,
            bytes: landed.bytes,
            at: Timestamp::now(),
            by: principal.to_string(),
            files: vec![record.uri.clone()],
            profile: Some(profile),
            checks: landed.tally.results(&run.plan),
        };
        let node = format!("table:{table}@{}", landed.version);
        let mut change = Change::new(principal, "ingest.land", node.clone())
            .detail(serde_json::json!({"file": record.uri, "sha256": record.sha256, "state": record.state}))
            .put(&record, Expect::Any)?
            .put(&version, Expect::Any)?
            .put(&TableSketch::fitting(&table, sketch, || crate::file::empty_sketch(&run.plan)), Expect::Any)?
            .edge(Edge::new(format!("file:{}", record.uri), node.clone(), "ingested"))
            .edge(Edge::new(format!("source:{}", record.source), node.clone(), "declared"));
        if let Some(base) = landed.base {
            change = change.edge(Edge::new(format!("table:{table}@{base}"), node, "extended"));
        }
        self.catalog.commit(change).await?;
        self.reached("recorded");
        run.remember(record);
        Ok(())
    }

    /// The sketch of the whole table: the old one and the file's, or made anew where that would not be true.
    async fn sketch_after(&self, run: &Run, landed: &crate::file::LandedFile) -> Result<Sketch> {
        let stored = self.catalog.get::<TableSketch>(&run.table.to_string()).await?;
        let old = match landed.base {
            None => Some(crate::file::empty_sketch(&run.plan)),
            Some(_) => stored.map(|stored| stored.document.sketch),
        };
        if let Some(mut sketch) = old.filter(|_| !landed.replaced) {
            sketch.merge(&landed.sketch);
            if sketch.rows() == self.count(run, landed.version).await? {
                return Ok(sketch);
            }
        }
        let rows = self.lake.read(&run.table, At::Version(landed.version)).await?;
        crate::file::sketch_of(&run.plan, rows).await
    }

    async fn count(&self, run: &Run, version: u64) -> Result<u64> {
        let rows = self.lake.read(&run.table, At::Version(version)).await?.count().await;
        let rows =
            rows.map_err(|e| Error::Compute { name: run.plan.source.name.clone(), reason: e.strip_backtrace() })?;
        Ok(rows as u64)
    }

    async fn newest_profile(&self, run: &Run) -> Result<Option<Profile>> {
        let newest = ListQuery { limit: Some(1), ..ListQuery::of(run.table.to_string()).newest_first() };
        let versions = self.catalog.list::<TableVersion>(newest).await?;
        Ok(versions.into_iter().next().and_then(|stored| stored.document.profile))
    }

    /// Freshness is asked of the table, at every ingest: also, and above all, when no new file came.
    async fn judge_freshness(&self, run: &Run, checks: &mut [CheckResult]) -> Result<()> {
        let rules: Vec<_> = run.plan.rules.iter().filter(|rule| matches!(rule.test, Test::Freshness { .. })).collect();
        if rules.is_empty() {
            return Ok(());
        }
        let stored = self.catalog.get::<TableSketch>(&run.table.to_string()).await?;
        let profile = match stored.map(|stored| stored.document.sketch).filter(|sketch| sketch.rows() > 0) {
            Some(sketch) => Some(sketch.profile()),
            // of a table too wide for its sketch to be kept
            None => self.newest_profile(run).await?,
        };
        for rule in rules {
            let Test::Freshness { column, max_age_micros } = rule.test else { continue };
            let Some(check) = checks.iter_mut().find(|check| check.name == rule.name) else { continue };
            let name = run.plan.schema.field(column).name();
            let newest = profile
                .as_ref()
                .and_then(|profile| profile.column(name)?.max.as_ref()?.as_str()?.parse::<Timestamp>().ok());
            let age = newest.map(|newest| Timestamp::now().as_microsecond().saturating_sub(newest.as_microsecond()));
            check.passed = age.is_some_and(|age| age <= max_age_micros);
            if !check.passed {
                let words =
                    newest.map_or_else(|| format!("`{name}` has no value"), |t| format!("the newest `{name}` is {t}"));
                check.examples = vec![words];
            }
        }
        Ok(())
    }
}

/// The write that lands a content for the `landings`-th time.
fn write_id(source: &str, sha256: &str, landings: i64) -> WriteId {
    WriteId { app: format!("ingest:{source}:{sha256}"), sequence: landings }
}

impl Run {
    /// Whether a file may have a content that is known: contents of different sizes are different.
    fn has_landed_like(&self, file: &FileRef) -> bool {
        self.records.iter().any(|record| record.size == file.size && !record.is_refused())
    }

    fn remember(&mut self, record: IngestedFile) {
        self.records.retain(|other| !other.id_is(&record));
        self.records.push(record);
    }
}

impl IngestedFile {
    fn is_refused(&self) -> bool {
        matches!(self.state, FileState::Refused { .. })
    }

    fn is_landed(&self) -> bool {
        matches!(self.state, FileState::Landed { .. })
    }

    fn id_is(&self, other: &Self) -> bool {
        (&self.source, &self.uri, &self.sha256) == (&other.source, &other.uri, &other.sha256)
    }

    /// Whether a file is this content beyond doubt, by its size and time alone.
    fn is_surely(&self, file: &FileRef) -> bool {
        let settled = self.ingested_at.as_microsecond() - self.modified_at > CLOCK_TICK_MICROS;
        settled && self.size == file.size && self.modified_at == file.modified_at
    }
}

/// The table of a source.
///
/// # Errors
/// When the name is not one of a source: a validated project has none such.
pub fn table_name(source: &str) -> Result<TableName> {
    Ok(TableName::new("sources", source)?)
}

/// The table of the rows of a source that broke its rules.
///
/// # Errors
/// As [`table_name`].
pub fn quarantine_name(source: &str) -> Result<TableName> {
    Ok(TableName::new("quarantine", source)?)
}
