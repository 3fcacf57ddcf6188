//! Reading the training set back, as trainers and the evaluation take it.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Schema, TimestampMicrosecondType};
use datafusion::prelude::{Expr, ident};
use futures::StreamExt;
use mainspring_kernel::{ARTIFACT_FORMAT, Body, Encoding, Input, Link, Matrix, ModelArtifact, Scorer};
use mainspring_lake::{At, Lake};
use mainspring_spec::{DataType, InputRef, ResolvedModel, Task};

use super::build::{Built, row_names};
use super::split::{PURGED, TEST, TRAIN, VALIDATION};
use super::{AT_COLUMN, LABEL_COLUMN, ROW_COLUMN, SPLIT_COLUMN};
use crate::evaluate::{Scored, SliceColumn, metrics};
use crate::frame::{Frame, Gatherer, RowKey};
use crate::trainer::{TextAs, text_as};
use crate::{Error, Result};

/// The most values of a text input that trees tell apart; the most frequent ones.
const POSITIONS_MAX: usize = 10_000;
/// The most values of a text input that get a column each, and the most such columns of all inputs together.
const COLUMNS_MAX: usize = 50;
const COLUMNS_OF_ALL_MAX: usize = 2_000;
/// The most classes of a model: each costs a tree a round.
const CLASSES_MAX: usize = 1_000;

/// A training set in memory.
pub(crate) struct Loaded {
    pub(crate) inputs: Vec<Input>,
    /// Multiclass: the values of the label among the training rows, in the order of their text. Binary: false and true.
    pub(crate) classes: Vec<String>,
    pub(crate) parts: Parts,
    /// For the test rows, in their order.
    pub(crate) slices: Vec<SliceColumn>,
    pub(crate) purged: u64,
}

/// The rows by part.
pub(crate) struct Parts {
    pub(crate) train: Frame,
    pub(crate) validation: Frame,
    pub(crate) test: Frame,
}

/// Reads a training set twice: first the words that occur in it, then the rows.
pub(crate) async fn load(lake: &Lake, resolved: &ResolvedModel, built: &Built) -> Result<Loaded> {
    let model = &resolved.model;
    let words = survey(lake, resolved, built).await?;
    if words.classes.len() > CLASSES_MAX {
        let (model, found) = (model.name.clone(), words.classes.len());
        return Err(Error::TooManyClasses { model, found, most: CLASSES_MAX });
    }
    let classes = match model.task {
        Task::Binary => vec!["false".into(), "true".into()],
        Task::Multiclass => words.classes,
        Task::Regression => vec![],
    };
    let encoder = encoder(&words.inputs)?;
    let labels = Labels::new(model.task, &classes);

    let mut gatherer = Gatherer::new(encoder.encoder().columns(), built.rows);
    let mut slices: Vec<SliceGatherer> = model.slices.iter().map(|column| SliceGatherer::new(column)).collect();
    let mut purged = 0;
    let mut batches = stream(lake, resolved, built, &[SPLIT_COLUMN, LABEL_COLUMN, AT_COLUMN, ROW_COLUMN], true).await?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let matrix = encoder.encoder().encode_batch(&batch)?;
        let rows = rows(&batch, &labels)?;
        purged += rows.iter().filter(|(key, _)| key.part == PURGED).count() as u64;
        gatherer.push(&matrix, rows);
        for slice in &mut slices {
            slice.push(&batch)?;
        }
    }
    let (mut frames, mut places) = gatherer.parts(PURGED);
    let (test, test_places) = (frames.swap_remove(TEST.into()), places.swap_remove(TEST.into()));
    let validation = frames.swap_remove(VALIDATION.into());
    let train = frames.swap_remove(TRAIN.into());
    let slices = slices.into_iter().map(|slice| slice.finish(&test_places)).collect();
    Ok(Loaded { inputs: words.inputs, classes, parts: Parts { train, validation, test }, slices, purged })
}

/// Evaluates another model on the same test rows, if it can be given them.
pub(crate) async fn champion_metrics(
    lake: &Lake,
    resolved: &ResolvedModel,
    built: &Built,
    champion: &ModelArtifact,
) -> Result<Option<std::collections::BTreeMap<String, f64>>> {
    let task = resolved.model.task;
    let have: BTreeSet<&str> = resolved.inputs.iter().map(InputRef::name).collect();
    if champion.task != task || champion.inputs.iter().any(|input| !have.contains(input.name.as_str())) {
        return Ok(None);
    }
    let scorer = Scorer::compile(champion)?;
    let labels = Labels::new(task, &champion.classes);
    let mut scored: Vec<(RowKey, f64, Vec<f64>)> = vec![];
    let mut batches =
        stream(lake, resolved, built, &[SPLIT_COLUMN, LABEL_COLUMN, AT_COLUMN, ROW_COLUMN], false).await?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let matrix: Matrix = scorer.encoder().encode_batch(&batch)?;
        let mut answers = vec![0.0; matrix.rows * scorer.outputs()];
        scorer.score_batch(matrix.rows, &matrix.values, &mut answers)?;
        let rows = rows(&batch, &labels)?.into_iter().zip(answers.chunks_exact(scorer.outputs()));
        let tests = rows.filter(|((key, _), _)| key.part == TEST);
        scored.extend(tests.map(|((key, label), answer)| (key, label, answer.to_vec())));
    }
    // Sums in a lasting order: batches come in any.
    scored.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)));
    let labels: Vec<f64> = scored.iter().map(|(_, label, _)| *label).collect();
    let predictions: Vec<f64> = scored.into_iter().flat_map(|(_, _, answer)| answer).collect();
    Ok(Some(metrics(Scored { task, outputs: scorer.outputs(), labels: &labels, predictions: &predictions })))
}

/// What the first reading finds.
struct Words {
    inputs: Vec<Input>,
    classes: Vec<String>,
}

/// Finds the words of text inputs, and the classes, among the training rows: what comes later must not be known.
async fn survey(lake: &Lake, resolved: &ResolvedModel, built: &Built) -> Result<Words> {
    let model = &resolved.model;
    let mut batches = stream(lake, resolved, built, &[SPLIT_COLUMN, LABEL_COLUMN], false).await?;
    let schema = batches.schema();
    let types: Vec<DataType> =
        resolved.inputs.iter().map(|input| input_type(&model.name, input.name(), &schema)).collect::<Result<_>>()?;
    let texts: Vec<&str> = resolved
        .inputs
        .iter()
        .zip(&types)
        .filter(|(_, data_type)| **data_type == DataType::String)
        .map(|(input, _)| input.name())
        .collect();
    let mut counted: Vec<HashMap<String, u64>> = vec![HashMap::new(); texts.len()];
    let mut classes: HashMap<String, u64> = HashMap::new();
    let needs_reading = !texts.is_empty() || model.task == Task::Multiclass;
    while let Some(batch) = batches.next().await.filter(|_| needs_reading) {
        let batch = batch?;
        let is_train: Vec<bool> = parts(&batch)?.into_iter().map(|part| part == TRAIN).collect();
        for (text, counts) in texts.iter().zip(&mut counted) {
            count_words(&batch, text, &is_train, counts)?;
        }
        if model.task == Task::Multiclass {
            count_words(&batch, LABEL_COLUMN, &is_train, &mut classes)?;
        }
    }
    let style = text_as(&model.trainer);
    let most = match style {
        TextAs::Position => POSITIONS_MAX,
        TextAs::Columns => (COLUMNS_OF_ALL_MAX / texts.len().max(1)).clamp(1, COLUMNS_MAX),
    };
    let mut counted = counted.into_iter();
    let inputs = resolved.inputs.iter().zip(types).map(|(input, data_type)| {
        let encoding = if data_type == DataType::String {
            let values = most_frequent(counted.next().unwrap_or_default(), most);
            match style {
                TextAs::Position => Encoding::Category { values },
                TextAs::Columns => Encoding::OneHot { values },
            }
        } else {
            Encoding::Number
        };
        Input { name: input.name().to_owned(), data_type, encoding }
    });
    Ok(Words { inputs: inputs.collect(), classes: most_frequent(classes, usize::MAX) })
}

/// The values that occur most, in the order of their text. Of equally frequent ones the first in that order.
fn most_frequent(counts: HashMap<String, u64>, most: usize) -> Vec<String> {
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(most);
    let mut values: Vec<String> = counts.into_iter().map(|(value, _)| value).collect();
    values.sort_unstable();
    values
}

fn count_words(batch: &RecordBatch, column: &str, is_train: &[bool], counts: &mut HashMap<String, u64>) -> Result<()> {
    let texts = arrow::compute::cast(batch.column(batch.schema().index_of(column)?), &ArrowType::Utf8)?;
    for (text, _) in texts.as_string::<i32>().iter().zip(is_train).filter(|(_, is_train)| **is_train) {
        let Some(text) = text else { continue };
        if let Some(count) = counts.get_mut(text) {
            *count += 1;
        } else {
            counts.insert(text.to_owned(), 1);
        }
    }
    Ok(())
}

/// An encoder is the kernel's own, so that a row is encoded for training exactly as it will be for serving.
fn encoder(inputs: &[Input]) -> Result<Scorer> {
    let (task, body, link) = (Task::Regression, Body::Constant(vec![0.0]), Link::Identity);
    let artifact =
        ModelArtifact { format: ARTIFACT_FORMAT, task, classes: vec![], inputs: inputs.to_vec(), body, link };
    Ok(Scorer::compile(&artifact)?)
}

fn input_type(model: &str, input: &str, schema: &Schema) -> Result<DataType> {
    let found = schema.field_with_name(input)?.data_type();
    let wrong = || Error::InputType { model: model.into(), input: input.into(), found: found.to_string() };
    let plain = match found {
        ArrowType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    match plain {
        ArrowType::Boolean => Ok(DataType::Bool),
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => Ok(DataType::String),
        ArrowType::Timestamp(..) => Ok(DataType::Timestamp),
        ArrowType::Date32 => Ok(DataType::Date),
        ArrowType::Float32 | ArrowType::Float64 | ArrowType::Null => Ok(DataType::Float64),
        integer if integer.is_integer() => Ok(DataType::Int64),
        _ => Err(wrong()),
    }
}

/// The inputs and some further columns of the pinned table; the slices too, if asked for.
async fn stream(
    lake: &Lake,
    resolved: &ResolvedModel,
    built: &Built,
    further: &[&str],
    with_slices: bool,
) -> Result<datafusion::execution::SendableRecordBatchStream> {
    let mut columns: Vec<&str> = resolved.inputs.iter().map(InputRef::name).collect();
    columns.extend(further);
    if with_slices {
        columns.extend(resolved.model.slices.iter().map(String::as_str));
    }
    let mut seen = BTreeSet::new();
    columns.retain(|column| seen.insert(*column));
    let columns: Vec<Expr> = columns.into_iter().map(ident).collect();
    let rows = lake.read(&built.table, At::Version(built.version)).await?;
    Ok(rows.select(columns)?.execute_stream().await?)
}

fn parts(batch: &RecordBatch) -> Result<Vec<u8>> {
    let column = arrow::compute::cast(batch.column(batch.schema().index_of(SPLIT_COLUMN)?), &ArrowType::Utf8)?;
    let number = |name: Option<&str>| match name {
        Some("train") => TRAIN,
        Some("validation") => VALIDATION,
        Some("test") => TEST,
        _ => PURGED,
    };
    Ok(column.as_string::<i32>().iter().map(number).collect())
}

/// How labels become numbers.
struct Labels<'a> {
    task: Task,
    class_numbers: HashMap<&'a str, f64>,
}

impl<'a> Labels<'a> {
    fn new(task: Task, classes: &'a [String]) -> Self {
        let numbers = classes.iter().map(String::as_str).zip((0u32..).map(f64::from));
        Self { task, class_numbers: numbers.collect() }
    }

    fn numbers(&self, column: &dyn Array) -> Result<Vec<f64>> {
        match self.task {
            Task::Binary => {
                let truths = column.as_boolean();
                Ok(truths.iter().map(|truth| f64::from(u8::from(truth.unwrap_or_default()))).collect())
            }
            Task::Regression => {
                Ok(column.as_primitive::<Float64Type>().iter().map(|number| number.unwrap_or(f64::NAN)).collect())
            }
            Task::Multiclass => {
                let texts = arrow::compute::cast(column, &ArrowType::Utf8)?;
                let number = |text: Option<&str>| text.and_then(|text| self.class_numbers.get(text)).copied();
                Ok(texts.as_string::<i32>().iter().map(|text| number(text).unwrap_or(-1.0)).collect())
            }
        }
    }
}

fn rows(batch: &RecordBatch, labels: &Labels<'_>) -> Result<Vec<(RowKey, f64)>> {
    let column = |name: &str| -> Result<_> { Ok(batch.column(batch.schema().index_of(name)?)) };
    let moments = column(AT_COLUMN)?.as_primitive::<TimestampMicrosecondType>();
    let names = row_names(batch)?;
    let labels = labels.numbers(column(LABEL_COLUMN)?)?;
    let key = |((part, at), row): ((u8, Option<i64>), &i64)| RowKey { part, at: at.unwrap_or(0), row: *row };
    let keys = parts(batch)?.into_iter().zip(moments.iter()).zip(names.values()).map(key);
    Ok(keys.zip(labels).collect())
}

/// The values of a slice as they come; each text is kept once.
struct SliceGatherer {
    column: String,
    numbers: HashMap<String, u32>,
    rows: Vec<u32>,
}

impl SliceGatherer {
    fn new(column: &str) -> Self {
        Self { column: column.into(), numbers: HashMap::new(), rows: vec![] }
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let texts = arrow::compute::cast(batch.column(batch.schema().index_of(&self.column)?), &ArrowType::Utf8)?;
        for text in texts.as_string::<i32>() {
            let text = text.unwrap_or("(null)");
            let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            let number = match self.numbers.get(text) {
                Some(number) => *number,
                None => *self.numbers.entry(text.to_owned()).or_insert(next),
            };
            self.rows.push(number);
        }
        Ok(())
    }

    fn finish(self, places: &[u32]) -> SliceColumn {
        let mut values = vec![String::new(); self.numbers.len()];
        for (text, number) in self.numbers {
            if let Some(value) = values.get_mut(number as usize) {
                *value = text;
            }
        }
        let rows = places.iter().map(|row| self.rows.get(*row as usize).copied().unwrap_or(u32::MAX)).collect();
        SliceColumn { column: self.column, values, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_words_are_kept_in_the_order_of_their_text() {
        let counts = [("b", 3), ("a", 1), ("c", 3), ("d", 2)].map(|(word, count)| (word.to_string(), count));

        assert_eq!(most_frequent(HashMap::from(counts.clone()), 2), ["b", "c"]);
        assert_eq!(most_frequent(HashMap::from(counts), 9), ["a", "b", "c", "d"]);
    }
}
