//! One file into the table, in one commit, whichever way its keys turn out.

use std::sync::Arc;

use datafusion::prelude::DataFrame;
use futures::StreamExt;
use mainspring_lake::{At, Committed, Progress, TableName};
use mainspring_spec::FileFormat;

use crate::content::WriteName;
use crate::ingestor::{Ingestor, quarantine_name};
use crate::known::Known;
use crate::landing::{KeyMode, Landed, Landing, Sinks, Stop, Tally};
use crate::plan::Plan;
use crate::profile::Sketch;
use crate::profiler::Profiler;
use crate::read::{Fault, FileRef, Opened};
use crate::types::column_type;
use crate::{Error, Result, quarantine, read, sink};

/// A file that is to land.
pub(crate) struct FileLanding<'a> {
    pub ingestor: &'a Ingestor,
    pub plan: &'a Arc<Plan>,
    pub table: &'a TableName,
    pub file: &'a FileRef,
    pub format: FileFormat,
    /// Names this content's landing, so that it happens once.
    pub name: WriteName,
    /// The version that this landing made before the process was killed, for which the record is still to be written.
    pub landed_before: Option<u64>,
}

/// What came of it.
pub(crate) enum Attempt {
    Landed(Box<LandedFile>),
    Refused(String),
    /// Its name said that it is not to land by this attempt; nothing of it did.
    CalledOff,
}

/// A file that has landed.
pub(crate) struct LandedFile {
    pub tally: Tally,
    /// The sketch of its rows alone.
    pub sketch: Sketch,
    /// The version of the table that it made.
    pub version: u64,
    /// The version before; `None` when it made the table.
    pub base: Option<u64>,
    pub bytes: u64,
    /// Whether rows of the table may have been replaced.
    pub replaced: bool,
    pub notes: Vec<String>,
}

/// What a single pass over the file came to.
enum Pass {
    Done(Box<Landed>, Option<Sketch>, Option<Committed>),
    Refused(String),
    KeySeenTwice,
}

impl FileLanding<'_> {
    /// Lands the file.
    ///
    /// Most files only add rows, so that is tried first; it costs nothing extra when it holds. Only when a key turns up
    /// that is there already is the file read twice more: once to learn the last row of each key, once to replace.
    pub async fn land(&self, known: &mut Option<Known>, progress: &dyn Progress) -> Result<Attempt> {
        let landed_before = self.landed_before;
        let base = match landed_before {
            Some(version) => version.checked_sub(1),
            None => self.ingestor.lake.version(self.table).await?,
        };
        if known.is_none() || landed_before.is_some() {
            *known = Some(self.known_at(base).await?);
        }
        let table = known.as_ref().ok_or_else(|| self.impossible("the table's keys were not read"))?;

        let first = self.pass(KeyMode::Add, table, landed_before, progress).await?;
        let (pass, replaced) = match first {
            Pass::KeySeenTwice if self.name.told().await.is_none() => return Ok(Attempt::CalledOff),
            Pass::KeySeenTwice => match self.pass(KeyMode::Scan, table, landed_before, progress).await? {
                Pass::Done(scan, ..) => {
                    (self.pass(KeyMode::Replace(scan.last), table, landed_before, progress).await?, true)
                }
                other => (other, false),
            },
            other => (other, false),
        };
        let (landed, sketch, committed) = match pass {
            Pass::Refused(reason) => return Ok(Attempt::Refused(reason)),
            Pass::KeySeenTwice => return Err(self.impossible("a key came twice while rows were replaced")),
            Pass::Done(landed, sketch, committed) => (landed, sketch, committed),
        };
        let version = landed_before.or(committed.as_ref().map(|committed| committed.version));
        let Some(version) = version else { return Ok(Attempt::CalledOff) };
        // What replaced rows leaves behind is read anew by the next file; what only added is taken in.
        match known {
            Some(known) if !replaced && landed_before.is_none() => known.absorb(landed.known),
            known => *known = None,
        }
        Ok(Attempt::Landed(Box::new(LandedFile {
            notes: notes(&landed.tally),
            tally: landed.tally,
            sketch: sketch.ok_or_else(|| self.impossible("no profile was made"))?,
            version,
            base,
            bytes: committed.map_or(0, |committed| committed.bytes),
            replaced,
        })))
    }

    async fn known_at(&self, base: Option<u64>) -> Result<Known> {
        match base {
            Some(version) if Known::is_needed(self.plan) => {
                let rows = self.ingestor.lake.read(self.table, At::Version(version)).await?;
                Known::of_table(self.plan, rows).await
            }
            _ => Ok(Known::nothing(self.plan)),
        }
    }

    fn impossible(&self, what: &str) -> Error {
        Error::Compute {
            name: self.plan.source.name.clone(),
            reason: format!("{what}; this is a defect, please report it"),
        }
    }

    async fn pass(
        &self,
        mode: KeyMode,
        table: &Known,
        landed_before: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<Pass> {
        let opened = match read::open(self.file, self.format, &self.plan.wanted()).await {
            Ok(opened) => opened,
            Err(fault) => return self.refused(fault),
        };
        if let Some(rows) = opened.rows {
            progress.total(rows);
        }
        match mode {
            KeyMode::Scan => self.scan(opened, table, landed_before).await,
            mode => self.write(opened, mode, table, landed_before, progress).await,
        }
    }

    fn refused(&self, fault: Fault) -> Result<Pass> {
        match fault {
            Fault::Refused(reason) => Ok(Pass::Refused(reason)),
            Fault::Storage(reason) => Err(Error::Read { uri: self.file.uri.clone(), reason }),
        }
    }

    async fn scan(&self, opened: Opened, table: &Known, landed_before: Option<u64>) -> Result<Pass> {
        let landing = Landing {
            plan: self.plan,
            uri: &self.file.uri,
            table,
            mode: KeyMode::Scan,
            sinks: Sinks { table: None, quarantine: None },
            profiler: None,
            has_landed: landed_before.is_some(),
            rows_expected: 0,
            rows_before: 0,
            progress: &mainspring_lake::NoProgress,
        };
        match landing.run(opened).await {
            Ok(landed) => Ok(Pass::Done(Box::new(landed), None, None)),
            Err(Stop::Fault(fault)) => self.refused(fault),
            Err(Stop::KeySeenTwice) => Ok(Pass::KeySeenTwice),
            Err(Stop::WriterGone) => Err(self.impossible("a scan had a writer")),
        }
    }

    async fn write(
        &self,
        opened: Opened,
        mode: KeyMode,
        table: &Known,
        landed_before: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<Pass> {
        let lake = &self.ingestor.lake;
        let replaces = matches!(mode, KeyMode::Replace(_));
        let ignored = opened.ignored.clone();
        let (table_sink, table_rows) = sink::channel(Arc::clone(&self.plan.schema));
        let (quarantine_sink, quarantine_rows) = sink::channel(Arc::clone(&quarantine::SCHEMA));
        let profiler = Profiler::start(empty_sketch(self.plan));
        let landing = Landing {
            plan: self.plan,
            uri: &self.file.uri,
            table,
            mode,
            sinks: Sinks { table: landed_before.is_none().then_some(table_sink), quarantine: Some(quarantine_sink) },
            profiler: Some(&profiler),
            has_landed: landed_before.is_some(),
            rows_expected: 0,
            rows_before: 0,
            progress,
        };
        let write = async {
            if landed_before.is_some() {
                return Ok::<_, mainspring_lake::Error>(None);
            }
            let rows = table_rows.into_stream();
            let committed = if !replaces {
                lake.append_named_late(self.table, rows, self.name.told()).await?
            } else if let Some(id) = self.name.told().await {
                Some(lake.replace_keys(self.table, &self.plan.source.key, rows, id).await?)
            } else {
                None
            };
            if committed.is_some() {
                self.ingestor.reached("table committed");
            }
            Ok(committed)
        };
        let name = quarantine_name(&self.plan.source.name)?;
        let set_aside = async {
            let Some(rows) = quarantine_rows.when_rows_come().await else {
                return Ok::<_, mainspring_lake::Error>(None);
            };
            let committed = lake.append_named_late(&name, rows.into_stream(), self.name.told()).await?;
            if committed.is_some() {
                self.ingestor.reached("quarantine committed");
            }
            Ok(committed)
        };
        let run = async {
            let landed = landing.run(opened).await;
            self.ingestor.reached("rows handed over");
            landed
        };
        let (landed, written, set_aside) = tokio::join!(run, write, set_aside);
        match landed {
            Err(Stop::Fault(fault)) => self.refused(fault),
            Err(Stop::KeySeenTwice) => Ok(Pass::KeySeenTwice),
            Err(Stop::WriterGone) => {
                written?;
                set_aside?;
                Err(self.impossible("a writer stopped without saying why"))
            }
            Ok(mut landed) => {
                let (written, _) = (written?, set_aside?);
                let sketch = profiler.finish().await.map_err(|error| self.impossible(&error))?;
                if !ignored.is_empty() {
                    landed.tally.ignored = ignored;
                }
                Ok(Pass::Done(Box::new(landed), Some(sketch), written))
            }
        }
    }
}

/// What else is worth saying of a file that landed.
pub(crate) fn notes(tally: &Tally) -> Vec<String> {
    if tally.ignored.is_empty() {
        return vec![];
    }
    vec![format!("left out, as the source does not declare them: {}", read::list(&tally.ignored))]
}

/// The sketch of no rows of a source's table.
pub(crate) fn empty_sketch(plan: &Plan) -> Sketch {
    let columns =
        plan.schema.fields().iter().filter_map(|field| {
            column_type(&plan.source, field.name()).map(|data_type| (field.name().clone(), data_type))
        });
    Sketch::new(columns)
}

/// The sketch of a table, read as a whole.
pub(crate) async fn sketch_of(plan: &Plan, table: DataFrame) -> Result<Sketch> {
    let compute = |error: datafusion::common::DataFusionError| Error::Compute {
        name: plan.source.name.clone(),
        reason: error.strip_backtrace(),
    };
    let columns: Vec<_> = plan.schema.fields().iter().map(|f| datafusion::prelude::ident(f.name())).collect();
    let profiler = Profiler::start(empty_sketch(plan));
    let mut rows = table.select(columns).map_err(compute)?.execute_stream().await.map_err(compute)?;
    while let Some(batch) = rows.next().await {
        profiler.update(&batch.map_err(compute)?).await;
    }
    let failed = |reason| Error::Compute { name: plan.source.name.clone(), reason };
    profiler.finish().await.map_err(failed)
}
