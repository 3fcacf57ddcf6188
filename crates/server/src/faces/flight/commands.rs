//! Messages inside of messages: commands in descriptors and tickets, actions and their results.

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{Any, Command, ProstMessageExt};
use arrow_flight::{Action, IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::refusal::internal;

/// The command in a descriptor or ticket.
pub(super) fn command(bytes: &Bytes) -> Result<Command, Status> {
    let any = Any::decode(bytes.clone()).map_err(|error| {
        Status::invalid_argument(format!(
            "the bytes are no Flight SQL command: {error}; descriptors are commands here, not paths"
        ))
    })?;
    Command::try_from(any).map_err(|error| Status::invalid_argument(format!("the Flight SQL command: {error}")))
}

/// The request in an action.
pub(super) fn request<M: ProstMessageExt>(action: &Action) -> Result<M, Status> {
    let bad = |words: String| Status::invalid_argument(format!("the body of the action {}: {words}", action.r#type));
    let any = Any::decode(action.body.clone()).map_err(|error| bad(error.to_string()))?;
    let unpacked = any.unpack::<M>().map_err(|error| bad(error.to_string()))?;
    unpacked.ok_or_else(|| bad(format!("it is no {}", M::type_url())))
}

/// A message as it is put into tickets and results.
pub(super) fn packed(message: &impl ProstMessageExt) -> Bytes {
    message.as_any().encode_to_vec().into()
}

/// Columns as the protocol sends them.
pub(super) fn encoded(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options)
        .try_into()
        .map_err(|error| internal(&format!("encoding columns: {error}")))?;
    Ok(bytes)
}
