//! Columns read from a stream of rows, parted by window, and compared with the reference.
//!
//! A number takes 8 bytes while it waits to be sorted. Columns are read in groups so that at most [`VALUES_MAX`] numbers
//! are held: 128 MB. A window, or a reference, of more than [`EXACT_ROWS_MAX`] rows is read into sketches of 32 kB a
//! column instead, whatever its size. Categories are counted, see [`Categories`].

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use futures::{Stream, StreamExt};

use crate::Role;
use crate::drift::{Categories, Drift, NumericColumn, NumericSketch, Sample, compare_categories, compare_numeric};

/// Windows and references of up to so many rows are compared exactly.
pub(super) const EXACT_ROWS_MAX: u64 = 2_000_000;
/// The most numbers held while columns are read.
pub(super) const VALUES_MAX: u64 = 16_000_000;

/// What a column's values are to the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers, moments and days.
    Numeric,
    /// Text and truth.
    Categorical,
}

impl Kind {
    /// The kind of an Arrow type; `None` for lists and the like.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => Some(Self::Categorical),
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => Some(Self::Numeric),
            other if other.is_numeric() => Some(Self::Numeric),
            _ => None,
        }
    }
}

/// A column that a monitor compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchedColumn {
    /// The input's name, or the prediction's.
    pub name: String,
    /// The column of the prediction log that holds it.
    pub logged: String,
    pub role: Role,
    pub kind: Kind,
}

/// The values of one column in one window, as far as they have been read.
#[derive(Debug)]
pub(super) enum Values {
    Exact { values: Vec<f64>, nulls: u64 },
    Sketch(Box<NumericSketch>),
    Categories(Categories),
}

impl Values {
    /// Makes room for the values of a column in a window of so many rows.
    pub(super) fn new(kind: Kind, rows: u64) -> Self {
        match kind {
            Kind::Categorical => Self::Categories(Categories::default()),
            Kind::Numeric if rows <= EXACT_ROWS_MAX => {
                Self::Exact { values: Vec::with_capacity(usize::try_from(rows).unwrap_or_default()), nulls: 0 }
            }
            Kind::Numeric => Self::Sketch(Box::default()),
        }
    }

    pub(super) fn push_number(&mut self, value: Option<f64>) {
        match (self, value) {
            (Self::Exact { values, .. }, Some(value)) => values.push(value),
            (Self::Exact { nulls, .. }, None) => *nulls += 1,
            (Self::Sketch(sketch), Some(value)) => sketch.add(value),
            (Self::Sketch(sketch), None) => sketch.add_nulls(1),
            (Self::Categories(categories), _) => {
                debug_assert!(false, "numbers are not counted as categories");
                categories.add(None, 1);
            }
        }
    }

    pub(super) fn push_text(&mut self, value: Option<&str>) {
        match self {
            Self::Categories(categories) => categories.add(value, 1),
            Self::Exact { .. } | Self::Sketch(_) => self.push_number(None),
        }
    }
}

/// The cells of a column in one batch, in the type that the statistics read.
enum Cells {
    Numbers(Float64Array),
    Texts(arrow::array::StringArray),
}

impl Cells {
    fn of(column: &ArrayRef, kind: Kind) -> Result<Self, ArrowError> {
        match kind {
            Kind::Categorical => Ok(Self::Texts(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())),
            Kind::Numeric => {
                let column = match column.data_type() {
                    DataType::Timestamp(..) | DataType::Date64 => &cast(column, &DataType::Int64)?,
                    DataType::Date32 => &cast(column, &DataType::Int32)?,
                    _ => column,
                };
                Ok(Self::Numbers(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone()))
            }
        }
    }

    fn push(&self, row: usize, values: &mut Values) {
        match self {
            Self::Numbers(cells) => values.push_number(cells.is_valid(row).then(|| cells.value(row))),
            Self::Texts(cells) => values.push_text(cells.is_valid(row).then(|| cells.value(row))),
        }
    }
}

/// Reads columns of a stream into `windows`: for each its start and end in microseconds and the values of each column.
///
/// The first column of the stream is the moment of the row; rows outside of the windows, which are in order of time, are
/// passed over. The other columns are those of `columns`.
pub(super) async fn read_windows<E: From<ArrowError>>(
    mut stream: impl Stream<Item = Result<RecordBatch, E>> + Unpin,
    columns: &[WatchedColumn],
    windows: &mut [(i64, i64, Vec<Values>)],
) -> Result<(), E> {
    while let Some(batch) = stream.next().await.transpose()? {
        let moments = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>();
        let moments =
            moments.ok_or_else(|| ArrowError::CastError("the log's `as_of` is not in microseconds".into()))?;
        let slots: Vec<Option<usize>> = moments
            .iter()
            .map(|moment| {
                let moment = moment?;
                let slot = windows.partition_point(|window| window.0 <= moment).checked_sub(1)?;
                (moment < windows[slot].1).then_some(slot)
            })
            .collect();
        for (position, column) in columns.iter().enumerate() {
            let cells = Cells::of(batch.column(position + 1), column.kind)?;
            for (row, slot) in slots.iter().enumerate() {
                if let Some(slot) = slot {
                    cells.push(row, &mut windows[*slot].2[position]);
                }
            }
        }
    }
    Ok(())
}

/// Reads columns of a stream, which has just these, into `values`.
pub(super) async fn read_all<E: From<ArrowError>>(
    mut stream: impl Stream<Item = Result<RecordBatch, E>> + Unpin,
    columns: &[WatchedColumn],
    values: &mut [Values],
) -> Result<(), E> {
    while let Some(batch) = stream.next().await.transpose()? {
        for ((column, array), values) in columns.iter().zip(batch.columns()).zip(values.iter_mut()) {
            let cells = Cells::of(array, column.kind)?;
            for row in 0..batch.num_rows() {
                cells.push(row, values);
            }
        }
    }
    Ok(())
}

/// Compares a column of the reference with the same column of each window.
pub(super) fn compare(reference: Values, windows: Vec<Values>) -> Vec<Drift> {
    if let Values::Categories(reference) = &reference {
        return windows
            .into_iter()
            .map(|values| match values {
                Values::Categories(current) => compare_categories(reference, &current),
                Values::Exact { .. } | Values::Sketch(_) => compare_categories(reference, &Categories::default()),
            })
            .collect();
    }
    let reference = numeric(reference);
    windows.into_iter().map(|values| compare_numeric(&reference, &numeric(values))).collect()
}

fn numeric(values: Values) -> NumericColumn {
    match values {
        Values::Exact { values, nulls } => NumericColumn::Exact(Sample::new(values, nulls)),
        Values::Sketch(mut sketch) => {
            sketch.settle();
            NumericColumn::Sketch(*sketch)
        }
        Values::Categories(_) => NumericColumn::Exact(Sample::new(vec![], 0)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn column(name: &str, kind: Kind) -> WatchedColumn {
        WatchedColumn { name: name.into(), logged: name.into(), role: Role::Feature, kind }
    }

    fn log() -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("as_of", Arc::new(TimestampMicrosecondArray::from(vec![9, 10, 19, 20, 25, 30]).with_timezone("UTC"))),
            ("count", Arc::new(Int64Array::from(vec![Some(0), Some(1), None, Some(3), Some(4), Some(5)]))),
            ("day", Arc::new(Date32Array::from(vec![0, 1, 2, 3, 4, 5]))),
            (
                "is_late",
                Arc::new(BooleanArray::from(vec![Some(true), Some(true), Some(false), None, Some(true), None])),
            ),
            ("carrier", Arc::new(StringArray::from(vec![Some("A"), Some("B"), Some("B"), Some("C"), None, Some("D")]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[tokio::test]
    async fn rows_fall_into_the_window_of_their_moment() {
        let columns = [
            column("count", Kind::Numeric),
            column("day", Kind::Numeric),
            column("is_late", Kind::Categorical),
            column("carrier", Kind::Categorical),
        ];
        let values = |rows| columns.iter().map(|column| Values::new(column.kind, rows)).collect();
        // The gap between 20 and 25 belongs to no window, and neither does 30.
        let mut windows = [(10, 20, values(2)), (25, 30, values(1))];

        let stream = futures::stream::iter([Ok::<_, ArrowError>(log())]);
        read_windows(stream, &columns, &mut windows).await.unwrap();

        let [(_, _, first), (_, _, second)] = windows;
        assert!(matches!(&first[0], Values::Exact { values, nulls: 1 } if values == &[1.0]), "{first:?}");
        assert!(matches!(&first[1], Values::Exact { values, nulls: 0 } if values == &[1.0, 2.0]), "{first:?}");
        let Values::Categories(late) = &first[2] else { panic!("truths are categories: {first:?}") };
        assert_eq!((late.count("true"), late.count("false"), late.nulls()), (1, 1, 0));
        let Values::Categories(carriers) = &second[3] else { panic!("texts are categories: {second:?}") };
        assert_eq!((carriers.rows(), carriers.nulls()), (1, 1));
    }

    #[test]
    fn window_of_very_many_rows_is_sketched_and_compared_with_an_exact_reference() {
        let mut current = Values::new(Kind::Numeric, EXACT_ROWS_MAX + 1);
        let mut reference = Values::new(Kind::Numeric, EXACT_ROWS_MAX);
        for i in 0..50_000 {
            current.push_number(Some(f64::from(i % 1_000)));
            reference.push_number(Some(f64::from(i % 1_000)));
        }
        current.push_number(None);

        let drift = compare(reference, vec![current]).remove(0);

        assert!(drift.approximate && drift.current.nulls == 1);
        assert!(drift.ks.unwrap().statistic < 0.005 && drift.psi.unwrap() < 0.01, "{drift:?}");
    }
}
