//! Ingests a source: finds what is new, lands each file in one commit, and records it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Edge, Expect, ListQuery, Principal};
use mainspring_lake::{At, Lake, Progress, TableName, WriteId};
use mainspring_spec::{FileFormat, PUSH_ID, Project, Rule, Source};

use crate::content::{WriteName, sha256};
use crate::documents::{FileState, IngestedFile, JudgedTable, TableReading, TableSketch, TableVersion};
use crate::file::{Attempt, FileLanding};
use crate::judged::judge_freshness;
use crate::keys::KeySet;
use crate::known::{Known, VALUES_MAX};
use crate::landing::Tally;
use crate::plan::Plan;
use crate::profile::Sketch;
use crate::read::{FileRef, format_of, locate};
use crate::reading::Reading;
use crate::report::{FileOutcome, FileReport, IngestReport};
use crate::reread::Reread;
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
    pub(crate) catalog: Catalog,
    project: Arc<Project>,
    hook: Option<Hook>,
}

/// How a file is recognised that was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recognition {
    /// One of the same name, size and time is taken for the same.
    BySizeAndTime,
    /// Its content is read.
    ByContent,
}

/// An ingest on its way.
pub(crate) struct Run {
    pub plan: Arc<Plan>,
    pub table: TableName,
    pub version: Option<u64>,
    pub records: Vec<IngestedFile>,
    pub recognition: Recognition,
    /// How often all files were read again.
    pub rereads: i64,
    /// What the table holds; `None` until a file asks.
    pub known: Option<Known>,
    pub tally: Tally,
    /// Whether the tally is of rows that landed in this ingest.
    pub has_landed: bool,
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
    /// When the source is declared so that the rows that landed would be others (types, key, derived columns), all files
    /// are first read again, into one version of the table. Those that cannot be are refused, and then nothing is done.
    ///
    /// # Errors
    /// When the source cannot be compiled or found, or the lake or catalog fails. A bad file is no error: it is refused,
    /// the report says why, and the others land.
    pub async fn ingest(&self, source: &str, principal: &Principal, progress: &dyn Progress) -> Result<IngestReport> {
        self.read(source, Recognition::BySizeAndTime, principal, progress).await
    }

    /// As [`ingest`](Self::ingest), and reads the content of every file again instead of trusting that one of the same
    /// size and time is the same. What has landed does not land twice. When all files have to be read again, those whose
    /// content has changed are taken as they are now, without the rows that only the earlier content had.
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
            return self.ingest_pushed(source, principal).await;
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
        let mut run =
            Run { plan, table, version, records, recognition, rereads: 0, known: None, tally, has_landed: false };
        let mut again: BTreeMap<String, FileReport> = BTreeMap::new();
        let reading = self.table_reading(source, &run.table, version).await?;
        run.rereads = reading.rereads;
        if let Some(reason) = outdated(&reading, source, version) {
            self.refuse_pushed_rows(source, &run.table, &reason).await?;
            match self.reread(&mut run, &files, &reading, &reason, principal, progress).await? {
                Reread::Refused(files) => return Ok(run.report(files)),
                Reread::Done(files) => again.extend(files.into_iter().map(|report| (report.uri.clone(), report))),
            }
        } else {
            self.keep_reading(reading, source, principal).await?;
        }
        let mut reports = Vec::with_capacity(files.len());
        for file in &files {
            let mut report = self.ingest_file(&mut run, file, principal, progress).await?;
            if let Some(again) = again.remove(&file.uri).filter(|_| report.outcome == FileOutcome::Unchanged) {
                report = again;
            }
            tracing::info!(source = source.name, file = report.uri, outcome = ?report.outcome, "ingested a file");
            reports.push(report);
        }
        let checks = self.judge_table(&run, principal).await?;
        Ok(IngestReport { checks, ..run.report(reports) })
    }

    /// How the rows of a table were made; of a table that is not there, as its rows will be.
    pub(crate) async fn table_reading(
        &self,
        source: &Source,
        table: &TableName,
        version: Option<u64>,
    ) -> Result<TableReading> {
        let kept = self.catalog.get::<TableReading>(&table.to_string()).await?.map(|stored| stored.document);
        let rereads = kept.as_ref().map_or(0, |kept| kept.rereads);
        let reading = match (version, kept) {
            (Some(_), Some(kept)) => return Ok(kept),
            (Some(version), None) => {
                let columns = self.lake.schema(table, At::Version(version)).await?;
                Reading::of_table(&columns, source)
            }
            (None, _) => Reading::of(source),
        };
        Ok(TableReading { table: table.to_string(), reading, rereads, under_way: None })
    }

    /// Keeps how a table's rows are made from now on, where no row that landed would be another one by it.
    pub(crate) async fn keep_reading(
        &self,
        before: TableReading,
        source: &Source,
        principal: &Principal,
    ) -> Result<()> {
        let kept = self.catalog.get::<TableReading>(&before.table).await?.map(|stored| stored.document);
        let now = TableReading { reading: Reading::of(source), under_way: None, ..before };
        if kept.as_ref() == Some(&now) {
            return Ok(());
        }
        let change = Change::new(principal, "ingest.declare", format!("source:{}", source.name));
        self.catalog.commit(change.put(&now, Expect::Any)?).await?;
        Ok(())
    }

    /// Rows that clients pushed are in no file: a table that holds some cannot be made anew.
    pub(crate) async fn refuse_pushed_rows(&self, source: &Source, table: &TableName, reason: &str) -> Result<()> {
        let has_numbers = self.lake.schema(table, At::Latest).await?.column_with_name(PUSH_ID).is_some();
        let was_pushed = has_numbers && source.columns.iter().all(|column| column.name != PUSH_ID);
        if (was_pushed || source.is_pushed()) && self.lake.statistics(table).await?.rows > 0 {
            return Err(Error::PushedRows { name: source.name.clone(), reason: reason.to_owned() });
        }
        Ok(())
    }

    pub(crate) fn source(&self, name: &str) -> Result<&Source> {
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
            place: 0,
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
                let id = write_id(&record.source, &sha256, record.landings, run.rereads);
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
                record.state = FileState::landed(landed.version, &landed.tally);
                run.version = Some(landed.version);
                run.tally.add(&landed.tally);
                run.has_landed = true;
                self.record_landing(run, record, &landed, principal).await?;
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
        let (plan, table, rereads) = (&run.plan, &run.table, run.rereads);
        let naming = async {
            let sha256 = sha256(file).await?;
            let id = write_id(&plan.source.name, &sha256, 1, rereads);
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
        let (mut of_file, mut of_run) = (landed.tally.results(&run.plan), run.tally.results(&run.plan));
        for checks in [&mut of_file, &mut of_run] {
            judge_freshness(&run.plan, Some(&profile), checks);
        }
        let judged = JudgedTable { table: table.clone(), at: Timestamp::now(), checks: of_run };
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
            checks: of_file,
        };
        let node = format!("table:{table}@{}", landed.version);
        let mut change = Change::new(principal, "ingest.land", node.clone())
            .detail(serde_json::json!({"file": record.uri, "sha256": record.sha256, "state": record.state}))
            .put(&record, Expect::Any)?
            .put(&version, Expect::Any)?
            .put(&judged, Expect::Any)?
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
}

/// Why the rows of a table are not those that its source declares, if they are not.
pub(crate) fn outdated(table: &TableReading, source: &Source, version: Option<u64>) -> Option<String> {
    version?;
    match &table.under_way {
        Some(_) => Some("a rereading that an earlier run began has not come to its end".into()),
        None => Reading::of(source).outdates(&table.reading),
    }
}

/// So many landings of one content have names of their own between two rereadings of all files.
const LANDINGS_MAX: i64 = 1 << 32;

/// The write that lands a content for the `landings`-th time. What landed before all files were read again landed in a
/// table that is no more.
fn write_id(source: &str, sha256: &str, landings: i64, rereads: i64) -> WriteId {
    WriteId { app: format!("ingest:{source}:{sha256}"), sequence: rereads * LANDINGS_MAX + landings }
}

impl FileState {
    /// That of a file whose rows are in a version of the table.
    pub(crate) fn landed(version: u64, tally: &Tally) -> Self {
        Self::Landed {
            version,
            rows_read: tally.read,
            rows_landed: tally.landed,
            rows_quarantined: tally.quarantined,
            rows_dropped: tally.dropped,
            rows_superseded: tally.superseded,
        }
    }
}

impl Run {
    /// What the ingest has done to files so far; how the table stands with the checks is told by who judges it.
    fn report(&self, files: Vec<FileReport>) -> IngestReport {
        IngestReport {
            source: self.plan.source.name.clone(),
            table: self.table.to_string(),
            version: self.version,
            files,
            rows_read: self.tally.read,
            rows_landed: self.tally.landed,
            rows_superseded: self.tally.superseded,
            rows_quarantined: self.tally.quarantined,
            rows_dropped: self.tally.dropped,
            checks: self.tally.results(&self.plan),
        }
    }

    /// Whether a file may have a content that is known: contents of different sizes are different.
    pub(crate) fn has_landed_like(&self, file: &FileRef) -> bool {
        self.records.iter().any(|record| record.size == file.size && !record.is_refused())
    }

    fn remember(&mut self, record: IngestedFile) {
        self.records.retain(|other| !other.id_is(&record));
        self.records.push(record);
    }
}

impl IngestedFile {
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.state, FileState::Refused { .. })
    }

    pub(crate) fn is_landed(&self) -> bool {
        matches!(self.state, FileState::Landed { .. })
    }

    fn id_is(&self, other: &Self) -> bool {
        (&self.source, &self.uri, &self.sha256) == (&other.source, &other.uri, &other.sha256)
    }

    /// Whether a file is this content beyond doubt, by its size and time alone.
    pub(crate) fn is_surely(&self, file: &FileRef) -> bool {
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
