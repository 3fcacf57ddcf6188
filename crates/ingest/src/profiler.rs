//! Profiles rows while they are written, on tasks of their own: each looks at some of the columns of every batch, so
//! that no sketch is ever merged and the result does not depend on timing.

use arrow::array::RecordBatch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::profile::Sketch;

/// As many as there are cores on the smallest machine; more columns at once do not help a writer that is slower.
const TASKS: usize = 2;
/// Batches waiting for a profiling task.
const BATCHES_AHEAD: usize = 4;

pub(crate) struct Profiler {
    tasks: Vec<(mpsc::Sender<RecordBatch>, JoinHandle<Sketch>)>,
}

impl Profiler {
    /// Starts from a sketch, usually an empty one.
    pub fn start(sketch: Sketch) -> Self {
        let tasks = sketch.part(TASKS).into_iter().map(|(from, mut part)| {
            let (sender, mut receiver) = mpsc::channel::<RecordBatch>(BATCHES_AHEAD);
            let places: Vec<usize> = (from..from + part.width()).collect();
            let task = tokio::spawn(async move {
                while let Some(batch) = receiver.recv().await {
                    if let Ok(columns) = batch.project(&places) {
                        part.update(&columns);
                    }
                }
                part
            });
            (sender, task)
        });
        Self { tasks: tasks.collect() }
    }

    pub async fn update(&self, batch: &RecordBatch) {
        for (sender, _) in &self.tasks {
            // A task that died is noticed when it is joined.
            let _ = sender.send(batch.clone()).await;
        }
    }

    /// The sketch of all rows; an error in words when a task died.
    pub async fn finish(self) -> Result<Sketch, String> {
        let mut parts = Vec::with_capacity(self.tasks.len());
        for (sender, task) in self.tasks {
            drop(sender);
            parts.push(task.await.map_err(|error| format!("the profile could not be made: {error}"))?);
        }
        Ok(Sketch::join(parts))
    }
}
