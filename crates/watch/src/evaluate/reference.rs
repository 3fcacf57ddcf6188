//! What the model version was trained on: the training rows, and what it predicts for them.

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};
use mainspring_kernel::{ModelArtifact, Scorer};
use mainspring_registry::{ModelVersion, TrainingSet};
use mainspring_spec::Task;

use super::columns::{Kind, Values, WatchedColumn};
use crate::{Reference, sql};

/// Training rows, and those that decided when to stop: what the version knows of the world. Not the rows it was tested on,
/// which may be of the very time that is watched.
const LEARNED_FROM: &str = "\"__split\" IN ('train', 'validation')";

/// A version whose training rows are known; those of a logged model are not.
#[derive(Clone, Copy)]
pub(super) struct Learned<'a> {
    pub(super) version: &'a ModelVersion,
    pub(super) set: &'a TrainingSet,
}

impl<'a> Learned<'a> {
    pub(super) fn of(version: &'a ModelVersion) -> Option<Self> {
        version.training_set.as_ref().map(|set| Self { version, set })
    }
}

/// Says what a version's columns and predictions are compared with.
pub(super) fn reference_of(set: &TrainingSet) -> Reference {
    Reference { table: set.table.clone(), version: set.version, rows: set.train_rows + set.validation_rows }
}

/// The query for columns of the rows that the version learned from.
pub(super) fn columns_query(table: &str, columns: &[WatchedColumn]) -> String {
    let names: Vec<String> = columns.iter().map(|column| sql::name(&column.name)).collect();
    format!("SELECT {} FROM {table} WHERE {LEARNED_FROM}", names.join(", "))
}

/// The query for the model's inputs on the rows that it learned from.
pub(super) fn inputs_query(table: &str, artifact: &ModelArtifact) -> String {
    let names: Vec<String> = artifact.inputs.iter().map(|input| sql::name(&input.name)).collect();
    // A model of no inputs still has rows.
    let names = if names.is_empty() { "1 AS one".to_owned() } else { names.join(", ") };
    format!("SELECT {names} FROM {table} WHERE {LEARNED_FROM}")
}

/// Predicts the rows of a stream as the endpoint would, and keeps what the endpoint logs: the number, or the class.
pub(super) async fn predict<E>(
    artifact: &ModelArtifact,
    column: &WatchedColumn,
    rows: u64,
    mut stream: impl Stream<Item = Result<RecordBatch, E>> + Unpin,
) -> Result<Values, Failure<E>> {
    let scorer = Scorer::compile(artifact)?;
    let mut values = Values::new(column.kind, rows);
    while let Some(batch) = stream.next().await.transpose().map_err(Failure::Stream)? {
        let scores = scorer.score_matrix(&scorer.encoder().encode_batch(&batch)?)?;
        for scores in scores.chunks_exact(scorer.outputs()) {
            match (column.kind, artifact.task) {
                (Kind::Categorical, Task::Multiclass) => values.push_text(class_of(scores, &artifact.classes)),
                _ => values.push_number(scores.first().copied()),
            }
        }
    }
    Ok(values)
}

/// The class with the greatest probability; of equal ones the first.
fn class_of<'a>(scores: &[f64], classes: &'a [String]) -> Option<&'a str> {
    let mut best = 0;
    for (position, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = position;
        }
    }
    classes.get(best).map(String::as_str)
}

/// Why a reference could not be predicted.
pub(super) enum Failure<E> {
    /// The rows could not be read.
    Stream(E),
    /// The model could not score them.
    Kernel(mainspring_kernel::Error),
}

impl<E> From<mainspring_kernel::Error> for Failure<E> {
    fn from(error: mainspring_kernel::Error) -> Self {
        Self::Kernel(error)
    }
}
