//! Writing the training set.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{filter_record_batch, is_not_null};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use mainspring_features::FeatureStore;
use mainspring_lake::{Lake, Progress, TableName, WriteId};
use mainspring_spec::{Model, ResolvedModel, SplitBy, Task};
use twox_hash::XxHash64;

use super::observe::Query;
use super::split::{Row, Splitter, part_name};
use super::{AT_COLUMN, LABEL_COLUMN, LABEL_KNOWN_AT_COLUMN, ROW_COLUMN, SPLIT_COLUMN};
use crate::trainer::task_name;
use crate::{Error, Result};

/// A training set that was written.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) table: TableName,
    pub(crate) version: u64,
    pub(crate) rows: usize,
    /// The rule that parted the rows.
    pub(crate) splitter: Splitter,
}

/// Joins the observations with their features, parts them, and writes them in one commit.
pub(crate) async fn build(
    lake: &Lake,
    features: &FeatureStore,
    resolved: &ResolvedModel,
    query: &Query,
    pins: &BTreeMap<TableName, u64>,
    write: WriteId,
    progress: &dyn Progress,
) -> Result<Built> {
    let model = &resolved.model;
    let observations = lake.sql_at(&query.sql, pins).await?;
    let shape = Arc::new(Shape::new(model, query)?);
    let rows = split_rows(observations.clone().execute_stream().await?, &shape).await?;
    if rows.is_empty() {
        return Err(Error::NoRows { model: model.name.clone(), from: model.observations.from.clone() });
    }
    let count = rows.len();
    progress.total(count as u64);
    let splitter = Splitter::new(model, &rows)?;
    drop(rows);

    let at = query.timed.then_some(AT_COLUMN);
    let joined = features.point_in_time(observations, at, &resolved.inputs, pins).await?;
    let joined = joined.execute_stream().await?;
    let schema = shape.output_schema(&joined.schema());
    let (shape, output) = (Arc::clone(&shape), Arc::clone(&schema));
    let parted = joined.map(move |batch| {
        let batch = batch?;
        shape.finish(&batch, splitter, &output).map_err(|error| match error {
            Error::Query(error) => error,
            Error::Arrow(error) => error.into(),
            other => datafusion::error::DataFusionError::External(Box::new(other)),
        })
    });
    // The lake takes a stream that owns everything; progress is borrowed, so rows are counted on the way through.
    let (counted, counts) = counted(parted);
    let stream: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, counted));
    let table = TableName::new("training", model.name.as_str())?;
    let mut writing = std::pin::pin!(lake.overwrite(&table, stream, write));
    let mut counts = std::pin::pin!(counts);
    let committed = loop {
        tokio::select! {
            committed = &mut writing => break committed?,
            Some(rows) = counts.next() => progress.advance(rows),
        }
    };
    Ok(Built { table: committed.table, version: committed.version, rows: count, splitter })
}

/// Passes batches on and says how many rows went by.
fn counted<E>(
    batches: impl futures::Stream<Item = Result<RecordBatch, E>> + Send + 'static,
) -> (impl futures::Stream<Item = Result<RecordBatch, E>> + Send, impl futures::Stream<Item = u64> + Send) {
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let batches = batches.inspect_ok(move |batch| {
        // Nobody may be listening any more when the write has failed.
        let _ = sender.unbounded_send(batch.num_rows() as u64);
    });
    (batches, receiver)
}

async fn split_rows(mut batches: SendableRecordBatchStream, shape: &Shape) -> Result<Vec<Row>> {
    let mut rows = vec![];
    while let Some(batch) = batches.next().await {
        let batch = shape.with_label(&batch?)?;
        rows.extend(shape.split_rows(&batch)?);
    }
    Ok(rows)
}

/// What is done to each batch.
#[derive(Debug)]
struct Shape {
    model: String,
    task: Task,
    seed: u64,
    /// The columns that name a row.
    name: Vec<String>,
    /// The columns whose hash draws the part.
    drawn_by: Vec<String>,
}

impl Shape {
    fn new(model: &Model, query: &Query) -> Result<Self> {
        let name: Vec<String> = if query.key.is_empty() {
            let own = [AT_COLUMN, LABEL_COLUMN].map(str::to_owned);
            query.columns.iter().cloned().chain(own).collect()
        } else {
            query.key.clone()
        };
        let drawn_by = match (&model.split.by, &model.split.column) {
            (SplitBy::Group, Some(column)) if query.columns.contains(column) => vec![column.clone()],
            (SplitBy::Group, Some(column)) => {
                return Err(Error::Split {
                    model: model.name.clone(),
                    reason: format!(
                        "`split.column: {column}` is a feature; name a column of `{}`",
                        model.observations.from
                    ),
                });
            }
            _ => name.clone(),
        };
        Ok(Self { model: model.name.clone(), task: model.task, seed: model.seed, name, drawn_by })
    }

    /// The batch with its label in the task's type, without rows whose label is no number.
    fn with_label(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let place = batch.schema().index_of(LABEL_COLUMN)?;
        let label = self.label(batch.column(place))?;
        let mut columns = batch.columns().to_vec();
        let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
        fields[place] = Arc::new(Field::new(LABEL_COLUMN, label.data_type().clone(), true));
        let keep = match label.data_type() {
            DataType::Float64 => {
                label.as_primitive::<Float64Type>().iter().map(|x| Some(x.is_some_and(f64::is_finite))).collect()
            }
            _ => is_not_null(&label)?,
        };
        columns[place] = label;
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        if keep.true_count() == keep.len() { Ok(batch) } else { Ok(filter_record_batch(&batch, &keep)?) }
    }

    fn label(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let wrong = |found: String, needed: &'static str| Error::Label {
            model: self.model.clone(),
            found,
            task: task_name(self.task),
            needed,
        };
        match self.task {
            Task::Multiclass => Ok(arrow::compute::cast(column, &DataType::Utf8)?),
            Task::Regression => Ok(arrow::compute::cast(column, &DataType::Float64)?),
            Task::Binary => {
                let needed = "true or false, or the numbers 1 and 0";
                if column.data_type() == &DataType::Boolean {
                    return Ok(Arc::clone(column));
                }
                if !column.data_type().is_numeric() {
                    return Err(wrong(format!("of type {}", column.data_type()), needed));
                }
                let numbers = arrow::compute::cast(column, &DataType::Float64)?;
                let truth = |number: Option<f64>| match number {
                    None => Ok(None),
                    Some(number) if number == 0.0 || number == 1.0 => Ok(Some(number == 1.0)),
                    Some(number) => Err(wrong(format!("{number} in a row"), needed)),
                };
                let truths: Vec<Option<bool>> =
                    numbers.as_primitive::<Float64Type>().iter().map(truth).collect::<Result<_>>()?;
                Ok(Arc::new(BooleanArray::from(truths)))
            }
        }
    }

    /// What the split looks at, row by row.
    fn split_rows(&self, batch: &RecordBatch) -> Result<Vec<Row>> {
        let moments = |name: &str| -> Result<Vec<Option<i64>>> {
            let column = batch.column(batch.schema().index_of(name)?);
            Ok(column.as_primitive::<TimestampMicrosecondType>().iter().collect())
        };
        let (at, known_at) = (moments(AT_COLUMN)?, moments(LABEL_KNOWN_AT_COLUMN)?);
        let hashes = hashes(batch, &self.drawn_by, self.seed)?;
        let row = |((at, label_known_at), hash): ((Option<i64>, Option<i64>), u64)| Row {
            at: at.unwrap_or(0),
            label_known_at,
            hash,
        };
        Ok(at.into_iter().zip(known_at).zip(hashes).map(row).collect())
    }

    fn output_schema(&self, joined: &SchemaRef) -> SchemaRef {
        let label = match self.task {
            Task::Binary => DataType::Boolean,
            Task::Multiclass => DataType::Utf8,
            Task::Regression => DataType::Float64,
        };
        let field = |field: &Arc<Field>| {
            let data_type = if field.name() == LABEL_COLUMN { label.clone() } else { field.data_type().clone() };
            Field::new(field.name(), data_type, true)
        };
        let mut fields: Vec<Field> = joined.fields().iter().map(field).collect();
        fields.push(Field::new(ROW_COLUMN, DataType::Int64, true));
        fields.push(Field::new(SPLIT_COLUMN, DataType::Utf8, true));
        Arc::new(Schema::new(fields))
    }

    fn finish(&self, batch: &RecordBatch, splitter: Splitter, schema: &SchemaRef) -> Result<RecordBatch> {
        let batch = self.with_label(batch)?;
        let parts = self.split_rows(&batch)?;
        let parts: StringArray = parts.iter().map(|row| Some(part_name(splitter.part(row)))).collect();
        let names: Vec<i64> = hashes(&batch, &self.name, 0)?.into_iter().map(u64::cast_signed).collect();
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(Int64Array::from(names)));
        columns.push(Arc::new(parts));
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

/// A hash of each row's values in the named columns; equal values have equal hashes in every batch.
fn hashes(batch: &RecordBatch, columns: &[String], seed: u64) -> Result<Vec<u64>> {
    let mut arrays = vec![];
    for column in columns {
        arrays.push(Arc::clone(batch.column(batch.schema().index_of(column)?)));
    }
    if arrays.is_empty() {
        return Ok(vec![XxHash64::oneshot(seed, &[]); batch.num_rows()]);
    }
    let fields = arrays.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&arrays)?;
    Ok(rows.iter().map(|row| XxHash64::oneshot(seed, row.as_ref())).collect())
}

/// The row's name, as a table holds it.
pub(super) fn row_names(batch: &RecordBatch) -> Result<&Int64Array> {
    Ok(batch.column(batch.schema().index_of(ROW_COLUMN)?).as_primitive::<Int64Type>())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, TimestampMicrosecondArray};

    use super::*;

    fn shape(task: Task) -> Shape {
        let columns = vec!["id".to_string()];
        Shape { model: "m".into(), task, seed: 3, name: columns.clone(), drawn_by: columns }
    }

    fn batch(labels: ArrayRef) -> RecordBatch {
        let rows = labels.len();
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![5; rows]).with_timezone("UTC"));
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let columns = [("id", ids), (AT_COLUMN, times.clone()), (LABEL_KNOWN_AT_COLUMN, times), (LABEL_COLUMN, labels)];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn ones_and_zeros_are_truths_and_other_numbers_are_refused() {
        let good = shape(Task::Binary).with_label(&batch(Arc::new(Int64Array::from(vec![1, 0, 1])))).unwrap();
        let bad = shape(Task::Binary).with_label(&batch(Arc::new(Int64Array::from(vec![1, 2]))));
        let text = shape(Task::Binary).with_label(&batch(Arc::new(StringArray::from(vec!["yes"]))));

        assert_eq!(
            good.column_by_name(LABEL_COLUMN).unwrap().as_boolean(),
            &BooleanArray::from(vec![true, false, true])
        );
        assert!(matches!(bad, Err(Error::Label { found, .. }) if found == "2 in a row"));
        assert!(matches!(text, Err(Error::Label { found, .. }) if found.contains("Utf8")));
    }

    #[test]
    fn a_label_that_is_no_number_is_not_learned_from() {
        let labels = Float64Array::from(vec![Some(1.0), Some(f64::NAN), None, Some(f64::INFINITY), Some(2.0)]);

        let kept = shape(Task::Regression).with_label(&batch(Arc::new(labels))).unwrap();

        assert_eq!(kept.column(0).as_primitive::<Int64Type>().values(), &[0, 4]);
    }

    #[test]
    fn a_row_has_one_hash_in_whatever_batch_it_comes() {
        let shape = shape(Task::Binary);
        let whole = batch(Arc::new(BooleanArray::from(vec![true; 10])));

        let together = shape.split_rows(&whole).unwrap();
        let apart = shape.split_rows(&whole.slice(7, 3)).unwrap();

        assert_eq!(together[7..], apart);
        let other = Shape { seed: 4, ..shape }.split_rows(&whole).unwrap();
        assert_ne!(together[0].hash, other[0].hash, "the seed draws");
    }
}
