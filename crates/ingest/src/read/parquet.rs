//! Parquet: types and row counts come from the footer; a truncated file has none and is refused before a row is read.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use tokio::sync::mpsc;

use super::{BATCH_ROWS, BATCHES_AHEAD, Fault, FileRef, Opened, RawBatch, RowNumbers, Wanted};

pub(super) async fn open(file: &FileRef, wanted: &Wanted) -> Result<Opened, Fault> {
    if file.size == 0 {
        return Err(Fault::Refused("is empty: not a byte in it".into()));
    }
    let builder = ParquetRecordBatchStreamBuilder::new(Reader(file.clone()))
        .await
        .map_err(|error| Fault::Refused(format!("is not a whole Parquet file: {error}")))?;
    let in_file: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let matched = super::match_columns(&in_file, wanted)?;
    let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();

    let fields: Vec<Field> = matched
        .places
        .iter()
        .filter_map(|place| builder.schema().fields().get(*place))
        .map(|f| f.as_ref().clone())
        .collect();
    let schema = Arc::new(Schema::new(fields));
    // The reader gives columns in the file's order; `order` puts them into the wanted one.
    let mut sorted = matched.places.clone();
    sorted.sort_unstable();
    let order: Vec<usize> = matched.places.iter().filter_map(|place| sorted.binary_search(place).ok()).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), matched.places.iter().copied());
    let mut stream = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| Fault::Refused(format!("cannot be read: {error}")))?;

    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    tokio::spawn(async move {
        let mut row = 1;
        while let Some(batch) = stream.next().await {
            let batch = batch
                .map_err(|error| Fault::Refused(format!("is damaged after row {}: {error}", row - 1)))
                .and_then(|batch| reorder(&batch, &order));
            let batch = batch.map(|batch| {
                let first = row;
                row += batch.num_rows() as u64;
                RawBatch { batch, rows: RowNumbers::From(first), faults: vec![] }
            });
            let failed = batch.is_err();
            if sender.send(batch).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(Opened { schema, rows, ignored: matched.ignored, batches: super::receive(receiver) })
}

fn reorder(batch: &RecordBatch, order: &[usize]) -> Result<RecordBatch, Fault> {
    batch.project(order).map_err(|error| Fault::Refused(format!("cannot be read: {error}")))
}

/// The bytes of a file, for the Parquet reader.
struct Reader(FileRef);

/// Read at once from a file's end: holds the footer of most files, so that they open in one round trip.
const FOOTER_BYTES: usize = 256 << 10;

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { self.0.store.get_range(&self.0.location, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.0.store.get_ranges(&self.0.location, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let reader = ParquetMetaDataReader::new()
            .with_metadata_options(options.map(|options| options.metadata_options().clone()))
            .with_prefetch_hint(Some(FOOTER_BYTES));
        let size = self.0.size;
        async move { reader.load_and_finish(self, size).await.map(Arc::new) }.boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
