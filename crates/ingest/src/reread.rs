//! Reads all files of a source again, when it is declared so that the rows that landed would be others.
//!
//! The table is made anew of the contents that have landed, in the order in which they did, in one commit: readers see
//! the old rows or the new ones. The rows are those that landing the files one after the other would have left, and so is
//! the quarantine.
//!
//! What happens when the process is killed: before a row is written the catalog says by which reading the table is being
//! made ([`TableReading::under_way`]), so that whatever the declaration says then, the next ingest makes it anew. The
//! commits are named by the reading and a number: done again, they land once.
//!
//! The cost is that of landing the files, and where rows replace others that of two readings more, with the last row of
//! each key in memory (see `VALUES_MAX`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect, Principal};
use mainspring_lake::{Committed, NoProgress, Progress, WriteId};
use mainspring_spec::{FileFormat, Source};

use crate::content::sha256;
use crate::documents::{FileState, IngestedFile, JudgedTable, TableReading, TableSketch, TableVersion};
use crate::file::{empty_sketch, notes};
use crate::ingestor::{Ingestor, Recognition, Run, quarantine_name};
use crate::judged::judge_freshness;
use crate::keys::{Key, KeyHash};
use crate::known::{Known, VALUES_MAX};
use crate::landing::{KeyMode, Landing, Sinks, Stop, Tally};
use crate::profile::Sketch;
use crate::profiler::Profiler;
use crate::read::{Fault, FileRef, format_of, open_again};
use crate::reading::Reading;
use crate::report::{FileOutcome, FileReport};
use crate::{Error, Result, quarantine, sink};

/// Files told of one by one when they cannot be read again; the first ones show what to mend.
const FILES_TOLD: usize = 8;
/// Files named in the record of a version that was made of all of them.
const FILES_NAMED: usize = 1_000;
/// Files recorded in one transaction: each is up to three of the operations of which it holds a bounded number.
const RECORDS_AT_ONCE: usize = 10_000;

/// What came of it, file by file.
pub(crate) enum Reread {
    /// The table is what the source declares.
    Done(Vec<FileReport>),
    /// Some files cannot be read again; the table is as it was.
    Refused(Vec<FileReport>),
}

/// A content that has landed, and the file that has it now.
struct Again<'a> {
    record: IngestedFile,
    file: &'a FileRef,
    format: FileFormat,
}

/// A rereading on its way.
struct Rereading<'a> {
    ingestor: &'a Ingestor,
    run: &'a Run,
    contents: &'a [Again<'a>],
    id: WriteId,
    /// The version that this rereading made before the process was killed, of which the record is still to be written.
    landed_before: Option<u64>,
    progress: &'a dyn Progress,
}

/// All files at their end.
#[derive(Default)]
struct Driven {
    tallies: Vec<Tally>,
    last: HashMap<Key, u64, KeyHash>,
}

/// What a pass over all files came to.
enum Pass {
    Done(Box<Driven>, Option<Sketch>, Option<Committed>),
    Refused(FileReport),
    KeySeenTwice,
}

/// The table made anew.
struct Made {
    tallies: Vec<Tally>,
    sketch: Sketch,
    version: u64,
    bytes: u64,
}

/// The write that makes a table anew by what its source declares, as the `number`-th.
pub(crate) fn reread_id(source: &Source, number: i64) -> WriteId {
    WriteId { app: format!("reread:{}:{}", source.name, Reading::of(source).fingerprint()), sequence: number }
}

impl Ingestor {
    /// Makes a table anew of the files that landed in it, or tells which of them stand against it.
    pub(crate) async fn reread(
        &self,
        run: &mut Run,
        files: &[FileRef],
        before: &TableReading,
        reason: &str,
        principal: &Principal,
        progress: &dyn Progress,
    ) -> Result<Reread> {
        let (contents, lost) = self.contents(run, files).await?;
        let consents = run.recognition == Recognition::ByContent;
        let names: HashSet<&str> = files.iter().map(|file| file.uri.as_str()).collect();
        let missing: Vec<(&IngestedFile, bool)> = lost
            .iter()
            .map(|record| (record, names.contains(record.uri.as_str())))
            .filter(|(_, has_other_content)| !(consents && *has_other_content))
            .collect();
        if !missing.is_empty() {
            return Ok(Reread::Refused(refusals(&missing, reason)));
        }

        let plan = Arc::clone(&run.plan);
        let fingerprint = Reading::of(&plan.source).fingerprint();
        let goes_on = before.under_way.as_ref() == Some(&fingerprint);
        let number = if goes_on { before.rereads } else { before.rereads + 1 };
        let begun = TableReading { rereads: number, under_way: Some(fingerprint), ..before.clone() };
        self.put_reading(&begun, reason, "ingest.reread.begin", principal).await?;
        self.reached("reread begun");

        let id = reread_id(&plan.source, number);
        let landed_before = self.lake.landed(&run.table, &id).await?;
        let rereading = Rereading { ingestor: self, run, contents: &contents, id, landed_before, progress };
        let made = match rereading.make().await? {
            Ok(made) => made,
            Err(mut refused) => {
                if landed_before.is_none() {
                    // Nothing was written, so the table is still by the reading that it was.
                    self.put_reading(before, reason, "ingest.reread.refuse", principal).await?;
                }
                if let FileOutcome::Refused { reason: why } = &mut refused.outcome {
                    why.push_str(&told(reason));
                }
                return Ok(Reread::Refused(vec![refused]));
            }
        };
        let reading =
            TableReading { reading: Reading::of(&plan.source), rereads: number, under_way: None, ..before.clone() };
        let reports = self.record_reread(run, &contents, made, reading, reason, principal).await?;
        Ok(Reread::Done(reports))
    }

    /// The contents that have landed, in the order in which they did, each with a file that has it; and the records of
    /// those that no file has any more.
    async fn contents<'a>(&self, run: &Run, files: &'a [FileRef]) -> Result<(Vec<Again<'a>>, Vec<IngestedFile>)> {
        let mut having: HashMap<String, Vec<&FileRef>> = HashMap::new();
        for file in files {
            let before = run.records.iter().rev().find(|record| record.uri == file.uri && !record.is_refused());
            let sure = before.filter(|before| run.recognition == Recognition::BySizeAndTime && before.is_surely(file));
            let content = match sure {
                Some(before) => before.sha256.clone(),
                None if run.has_landed_like(file) => sha256(file).await?,
                None => continue,
            };
            having.entry(content).or_default().push(file);
        }
        let mut landed: Vec<&IngestedFile> = run.records.iter().filter(|record| record.is_landed()).collect();
        landed.sort_by_key(|record| (record.version(), record.place));
        let (mut contents, mut lost) = (Vec::with_capacity(landed.len()), Vec::new());
        for record in landed {
            let files = having.get(&record.sha256).map(Vec::as_slice).unwrap_or_default();
            let same_name = files.iter().find(|file| file.uri == record.uri);
            let Some(file) = same_name.or_else(|| files.first()).copied() else {
                lost.push(record.clone());
                continue;
            };
            let format = run.plan.source.format.or_else(|| format_of(&file.uri));
            let format = format.ok_or_else(|| Error::Format { path: file.uri.clone() })?;
            contents.push(Again { record: record.clone(), file, format });
        }
        Ok((contents, lost))
    }

    async fn put_reading(
        &self,
        reading: &TableReading,
        reason: &str,
        action: &str,
        principal: &Principal,
    ) -> Result<()> {
        let change = Change::new(principal, action, format!("table:{}", reading.table))
            .detail(serde_json::json!({"reason": reason}))
            .put(reading, Expect::Any)?;
        self.catalog.commit(change).await?;
        Ok(())
    }

    /// Records the files as they are in the table now, its new version with its profile, and by which reading it is made.
    async fn record_reread(
        &self,
        run: &mut Run,
        contents: &[Again<'_>],
        made: Made,
        reading: TableReading,
        reason: &str,
        principal: &Principal,
    ) -> Result<Vec<FileReport>> {
        let Made { tallies, sketch, version, bytes } = made;
        let table = run.table.to_string();
        let node = format!("table:{table}@{version}");
        let (mut all, mut reports) = (Tally::new(&run.plan), Vec::with_capacity(contents.len()));
        let mut records = Vec::with_capacity(contents.len());
        for (place, (content, tally)) in contents.iter().zip(&tallies).enumerate() {
            all.add(tally);
            let mut said = vec![format!("read again, as {reason}")];
            said.extend(notes(tally));
            let outcome = FileOutcome::Landed { version, rows: tally.landed };
            reports.push(FileReport { uri: content.file.uri.clone(), outcome, notes: said });
            records.push(IngestedFile {
                uri: content.file.uri.clone(),
                size: content.file.size,
                modified_at: content.file.modified_at,
                state: FileState::landed(version, tally),
                place: place as u64,
                ingested_at: Timestamp::now(),
                ..content.record.clone()
            });
        }
        let now: HashSet<String> = records.iter().map(id_of).collect();
        let others = std::mem::take(&mut run.records).into_iter().filter(|record| !now.contains(&id_of(record)));
        // What landed and is not among them now is in the table no more, or under another name.
        let (gone, kept): (Vec<IngestedFile>, Vec<IngestedFile>) = others.partition(IngestedFile::is_landed);
        for part in gone.chunks(RECORDS_AT_ONCE) {
            let mut change = Change::new(principal, "ingest.reread.forget", node.clone());
            for record in part {
                change = change.delete::<IngestedFile>(id_of(record), Expect::Any);
            }
            self.catalog.commit(change).await?;
        }
        for part in records.chunks(RECORDS_AT_ONCE) {
            let mut change = Change::new(principal, "ingest.reread.file", node.clone());
            for record in part {
                change = change.put(record, Expect::Any)?;
                change = change.edge(Edge::new(format!("file:{}", record.uri), node.clone(), "ingested"));
            }
            self.catalog.commit(change).await?;
        }
        self.reached("files recorded");

        let profile = sketch.profile();
        let mut checks = all.results(&run.plan);
        judge_freshness(&run.plan, Some(&profile), &mut checks);
        let judged = JudgedTable { table: table.clone(), at: Timestamp::now(), checks: checks.clone() };
        let made = TableVersion {
            table: table.clone(),
            version,
            rows: profile.rows,
            rows_added: all.landed,
            bytes,
            at: Timestamp::now(),
            by: principal.to_string(),
            files: records.iter().take(FILES_NAMED).map(|record| record.uri.clone()).collect(),
            profile: Some(profile),
            checks,
        };
        let change = Change::new(principal, "ingest.reread", node.clone())
            .detail(serde_json::json!({"reason": reason, "files": records.len(), "rows": all.landed}))
            .put(&made, Expect::Any)?
            .put(&judged, Expect::Any)?
            .put(&reading, Expect::Any)?
            .put(&TableSketch::fitting(&table, sketch, || empty_sketch(&run.plan)), Expect::Any)?
            .edge(Edge::new(format!("source:{}", run.plan.source.name), node, "declared"));
        self.catalog.commit(change).await?;
        self.reached("reread recorded");
        run.records = kept.into_iter().chain(records).collect();
        run.rereads = reading.rereads;
        run.version = Some(version);
        run.known = None;
        run.tally.add(&all);
        run.has_landed = true;
        Ok(reports)
    }
}

impl Rereading<'_> {
    /// Makes the table; or tells which file is refused, and why.
    ///
    /// As with one file, rows are only added at first, and read twice more when a key turns up again.
    async fn make(&self) -> Result<Result<Made, FileReport>> {
        let pass = match self.write(KeyMode::Add).await? {
            Pass::KeySeenTwice => match self.scan().await? {
                Pass::Done(scan, ..) => self.write(KeyMode::Replace(scan.last)).await?,
                other => other,
            },
            other => other,
        };
        let (driven, sketch, committed) = match pass {
            Pass::Done(driven, sketch, committed) => (driven, sketch, committed),
            Pass::Refused(report) => return Ok(Err(report)),
            Pass::KeySeenTwice => return Err(self.impossible("a key came twice while rows were replaced")),
        };
        let version = self.landed_before.or(committed.as_ref().map(|committed| committed.version));
        Ok(Ok(Made {
            tallies: driven.tallies,
            sketch: sketch.ok_or_else(|| self.impossible("no profile was made"))?,
            version: version.ok_or_else(|| self.impossible("the table was not written"))?,
            bytes: committed.map_or(0, |committed| committed.bytes),
        }))
    }

    async fn scan(&self) -> Result<Pass> {
        let sinks = Sinks { table: None, quarantine: None };
        match self.drive(KeyMode::Scan, sinks, None, &NoProgress).await {
            Ok(driven) => Ok(Pass::Done(Box::new(driven), None, None)),
            Err((uri, stop)) => self.stopped(&uri, stop),
        }
    }

    async fn write(&self, mode: KeyMode) -> Result<Pass> {
        let (lake, plan) = (&self.ingestor.lake, &self.run.plan);
        let aside = quarantine_name(&plan.source.name)?;
        let (has_aside, is_set_aside) = (lake.exists(&aside).await?, lake.landed(&aside, &self.id).await?.is_some());
        let (table_sink, table_rows) = sink::channel(Arc::clone(&plan.schema));
        let (quarantine_sink, quarantine_rows) = sink::channel(Arc::clone(&quarantine::SCHEMA));
        let sinks = Sinks {
            table: self.landed_before.is_none().then_some(table_sink),
            quarantine: (!is_set_aside).then_some(quarantine_sink),
        };
        let profiler = Profiler::start(empty_sketch(plan));
        let write = async {
            if self.landed_before.is_some() {
                return Ok::<_, mainspring_lake::Error>(None);
            }
            let committed = lake.overwrite(&self.run.table, table_rows.into_stream(), self.id.clone()).await?;
            self.ingestor.reached("table reread");
            Ok(Some(committed))
        };
        let set_aside = async {
            // The rows that the earlier reading set aside go, also when this one sets none aside.
            let rows = match (is_set_aside, has_aside) {
                (true, _) => None,
                (false, true) => Some(quarantine_rows),
                (false, false) => quarantine_rows.when_rows_come().await,
            };
            if let Some(rows) = rows {
                lake.overwrite(&aside, rows.into_stream(), self.id.clone()).await?;
                self.ingestor.reached("quarantine reread");
            }
            Ok::<_, mainspring_lake::Error>(())
        };
        let drive = async {
            let driven = self.drive(mode, sinks, Some(&profiler), self.progress).await;
            self.ingestor.reached("rows reread");
            driven
        };
        let (driven, written, set_aside) = tokio::join!(drive, write, set_aside);
        match driven {
            Err((_, Stop::WriterGone)) => {
                written?;
                set_aside?;
                Err(self.impossible("a writer stopped without saying why"))
            }
            Err((uri, stop)) => self.stopped(&uri, stop),
            Ok(driven) => {
                let written = written?;
                set_aside?;
                let sketch = profiler.finish().await.map_err(|error| self.impossible(&error))?;
                Ok(Pass::Done(Box::new(driven), Some(sketch), written))
            }
        }
    }

    /// Drives all files to their end, one after the other; when it stops before, names the file.
    async fn drive(
        &self,
        mut mode: KeyMode,
        mut sinks: Sinks,
        profiler: Option<&Profiler>,
        progress: &dyn Progress,
    ) -> Result<Driven, (String, Stop)> {
        let plan = &self.run.plan;
        let reading = Reading::of(&plan.source);
        let optional: HashSet<&str> = reading.nullable().collect();
        let (mut known, mut driven, mut rows_before) = (Known::nothing(plan), Driven::default(), 0);
        for content in self.contents {
            let uri = &content.file.uri;
            let stopped = |stop| (uri.clone(), stop);
            let opened = open_again(content.file, content.format, &plan.wanted(), &optional).await;
            let opened = opened.map_err(|fault| stopped(Stop::Fault(fault)))?;
            let ignored = opened.ignored.clone();
            let mut landing = Landing {
                plan,
                uri,
                table: &known,
                mode,
                sinks,
                profiler,
                // It was taken once, and is no longer refused for its age.
                has_landed: true,
                rows_expected: 0,
                rows_before,
                progress,
            };
            let mut landed = landing.drive(opened, std::mem::take(&mut driven.last)).await.map_err(stopped)?;
            (mode, sinks) = (landing.mode, landing.sinks);
            rows_before += landed.tally.read;
            landed.tally.ignored = ignored;
            driven.tallies.push(landed.tally);
            driven.last = landed.last;
            known.absorb(landed.known);
            if known.is_too_much() {
                return Err(stopped(Stop::Fault(Fault::Refused(format!(
                    "brings the values that `key` and `unique` have to know of to more than {VALUES_MAX}, which is more than is kept in memory while all files are read again"
                )))));
            }
        }
        let last = self.contents.last().map(|content| content.file.uri.clone()).unwrap_or_default();
        sinks.finish().await.map_err(|stop| (last, stop))?;
        Ok(driven)
    }

    fn stopped(&self, uri: &str, stop: Stop) -> Result<Pass> {
        match stop {
            Stop::Fault(Fault::Refused(reason)) => {
                let outcome = FileOutcome::Refused { reason };
                Ok(Pass::Refused(FileReport { uri: uri.to_owned(), outcome, notes: vec![] }))
            }
            Stop::Fault(Fault::Storage(reason)) => Err(Error::Read { uri: uri.to_owned(), reason }),
            Stop::KeySeenTwice => Ok(Pass::KeySeenTwice),
            Stop::WriterGone => Err(self.impossible("a scan had a writer")),
        }
    }

    fn impossible(&self, what: &str) -> Error {
        Error::Compute {
            name: self.run.plan.source.name.clone(),
            reason: format!("{what}; this is a defect, please report it"),
        }
    }
}

impl IngestedFile {
    /// The version of the table that its rows came with.
    fn version(&self) -> Option<u64> {
        match self.state {
            FileState::Landed { version, .. } => Some(version),
            FileState::Copy { .. } | FileState::Refused { .. } => None,
        }
    }
}

fn id_of(record: &IngestedFile) -> String {
    IngestedFile::id_of(&record.source, &record.uri, &record.sha256)
}

/// Why files that cannot be read stand against the ingest, and what becomes of the table.
fn told(reason: &str) -> String {
    format!("; all files have to be read again, as {reason}, and the table stays as it was until they can be")
}

/// What is said of files that landed and cannot be read again; whether another content is under the name stands beside.
fn refusals(missing: &[(&IngestedFile, bool)], reason: &str) -> Vec<FileReport> {
    let more = missing.len().saturating_sub(FILES_TOLD);
    let reports = missing.iter().take(FILES_TOLD).enumerate().map(|(place, (record, has_other_content))| {
        let mut words = if *has_other_content {
            "has another content than when it landed, so that the rows of that content cannot be read again; put it back under another name, take the change out of the source, or let `mainspring run --force` make the table of what the files hold now".to_owned()
        } else {
            "is gone, so that its rows cannot be read again; put the file back, or take the change out of the source"
                .to_owned()
        };
        words.push_str(&told(reason));
        if more > 0 && place + 1 == FILES_TOLD {
            words.push_str(&format!(" (so do {more} more files)"));
        }
        FileReport { uri: record.uri.clone(), outcome: FileOutcome::Refused { reason: words }, notes: vec![] }
    });
    reports.collect()
}
