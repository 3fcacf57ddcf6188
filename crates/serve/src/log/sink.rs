//! Where the log goes.

use arrow::array::RecordBatch;
use async_trait::async_trait;
use mainspring_lake::{Lake, TableName, WriteId, stream_of};

/// A batch on its way to the log.
#[derive(Debug, Clone)]
pub struct LogBatch {
    /// The endpoint.
    pub endpoint: String,
    /// Who writes: one name for each endpoint and start of the server.
    pub writer: String,
    /// Grows with each batch of that writer; a batch that is tried again keeps its number.
    pub sequence: i64,
    /// The rows.
    pub rows: RecordBatch,
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It may be written later.
    #[error("{0}")]
    Unavailable(String),
    /// It can never be written as it is.
    #[error("{0}")]
    Refused(String),
}

/// A place that keeps predictions. Writing a batch with the same writer and sequence again has no effect.
#[async_trait]
pub trait LogSink: Send + Sync {
    /// Writes a batch; when it returns, the batch is durable.
    ///
    /// # Errors
    /// When it is not.
    async fn write(&self, batch: &LogBatch) -> Result<(), SinkError>;
}

/// The lake tables `predictions.{endpoint}`.
pub struct LakeSink {
    lake: Lake,
}

impl LakeSink {
    /// Writes into this lake.
    #[must_use]
    pub fn new(lake: Lake) -> Self {
        Self { lake }
    }
}

/// The table in which an endpoint's predictions are kept.
///
/// # Errors
/// When the endpoint's name cannot be a table's.
pub fn table_of(endpoint: &str) -> mainspring_lake::Result<TableName> {
    TableName::new("predictions", endpoint)
}

#[async_trait]
impl LogSink for LakeSink {
    async fn write(&self, batch: &LogBatch) -> Result<(), SinkError> {
        let table = table_of(&batch.endpoint).map_err(|error| SinkError::Refused(error.to_string()))?;
        let rows = stream_of(batch.rows.schema(), vec![batch.rows.clone()]);
        let id = WriteId { app: batch.writer.clone(), sequence: batch.sequence };
        match self.lake.append(&table, rows, id).await {
            Ok(_) => Ok(()),
            Err(error @ mainspring_lake::Error::Schema { .. }) => Err(SinkError::Refused(error.to_string())),
            Err(error) => Err(SinkError::Unavailable(error.to_string())),
        }
    }
}
