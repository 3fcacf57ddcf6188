//! The service: each call finds who asks, reads the command in it, and hands it to one function.

use std::collections::BTreeMap;
use std::time::Instant;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::root_as_message;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Command, CommandPreparedStatementQuery,
    CommandStatementQuery, DoPutPreparedStatementResult, TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, Criteria, Empty, FlightData,
    FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, PollInfo, PutResult,
    Result as ActionResult, SchemaResult, Ticket as WireTicket,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use mainspring_catalog::Principal;
use mainspring_lake::TableName;
use prost::Message;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::commands::{command, encoded, packed, request};
use super::metadata;
use super::prepared::{Prepared, Statements};
use super::refusal::{internal, status, unauthenticated};
use super::ticket::{BadTicket, Seal, Statement, TICKET_LIFE, Ticket};
use crate::app::App;
use crate::http::Caller;
use crate::query::{Error, Listed, Parameters, Planned, Queries, Rows};

/// The most bytes of the values that are bound to a statement: they are kept with it.
const BOUND_BYTES_MAX: usize = 1 << 20;

/// The most tables that are listed as flights: the columns of each are looked up.
const FLIGHTS_MAX: usize = 1_000;

const READ_ONLY: &str = "only queries are run here: tables change by `mainspring run`, and the platform by \
    `mainspring apply` and its API";

const NO_TRANSACTIONS: &str = "there are no transactions here: each query sees one version of each table";

/// The actions that there are, and what they do.
const ACTIONS: [(&str, &str); 4] = [
    ("CreatePreparedStatement", "Prepares a query"),
    ("ClosePreparedStatement", "Forgets a query that was prepared"),
    ("CancelQuery", "Stops a query by its FlightInfo"),
    ("CancelFlightInfo", "Stops a query by its FlightInfo"),
];

/// Flight SQL over the tables of an [`App`].
pub struct Face {
    app: App,
    queries: Queries,
    seal: Seal,
    statements: Statements,
}

impl Face {
    pub(super) fn new(app: App) -> std::io::Result<Self> {
        let queries = Queries::start(app.clone())?;
        Ok(Self { app, queries, seal: Seal::new()?, statements: Statements::default() })
    }

    /// Plans a statement, for a result's columns or to run it.
    async fn plan(
        &self,
        caller: &Caller,
        text: &str,
        pins: BTreeMap<TableName, u64>,
        bound: Option<&Parameters>,
    ) -> Result<Planned, Status> {
        match self.queries.plan(&caller.principal, text, pins, bound).await {
            Ok(planned) => Ok(planned),
            Err(error) => Err(self.refused(caller, &error).await),
        }
    }

    /// A query's error as a status; that personal data was asked for by name is left in the audit log.
    async fn refused(&self, caller: &Caller, error: &Error) -> Status {
        if let Error::Withheld { table, .. } | Error::Undeclared { table, .. } = error {
            let _already_told = caller.may(&self.app, "table.read_personal", "table", table).await;
        }
        status(error)
    }

    /// Where a query's rows are to be had.
    fn info(&self, caller: &Caller, of: Statement, planned: &Planned) -> Result<FlightInfo, Status> {
        let until = Timestamp::now() + TICKET_LIFE;
        let principal = caller.principal.clone();
        let ticket = Ticket { id: Uuid::now_v7(), principal, of, pins: planned.pins.clone(), until };
        let sealed = self.seal.close(&ticket).map_err(|error| internal(&error.to_string()))?;
        let wire = TicketStatementQuery { statement_handle: sealed.into() };
        let mut endpoint = FlightEndpoint::new().with_ticket(WireTicket { ticket: packed(&wire) });
        endpoint.expiration_time =
            Some(prost_types::Timestamp { seconds: until.as_second(), nanos: until.subsec_nanosecond() });
        Ok(described(&planned.schema)?.with_endpoint(endpoint))
    }

    async fn info_of(&self, caller: &Caller, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        let info = match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(query) => {
                outside_transaction(query.transaction_id.as_ref())?;
                let planned = self.plan(caller, &query.query, BTreeMap::new(), None).await?;
                bound_to(&planned, None)?;
                self.info(caller, Statement::Text(query.query), &planned)?
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = handle(&query.prepared_statement_handle)?;
                let Prepared { text, bound } = self.statements.get(&caller.principal, handle, Instant::now())?;
                let planned = self.plan(caller, &text, BTreeMap::new(), bound.as_ref()).await?;
                bound_to(&planned, bound.as_ref())?;
                self.info(caller, Statement::Prepared(handle), &planned)?
            }
            other => {
                let schema = metadata::schema(&other)?.ok_or_else(|| not_here(&other))?;
                let ticket = WireTicket { ticket: descriptor.cmd.clone() };
                described(&schema)?.with_endpoint(FlightEndpoint::new().with_ticket(ticket))
            }
        };
        Ok(info.with_descriptor(descriptor))
    }

    /// Runs what a sealed ticket stands for.
    async fn rows_of(&self, caller: &Caller, sealed: &[u8]) -> Result<Rows, Status> {
        let ticket = self.seal.open(sealed, &caller.principal, Timestamp::now())?;
        let (text, bound) = match ticket.of {
            Statement::Text(text) => (text, None),
            Statement::Prepared(handle) => {
                let prepared = self.statements.get(&caller.principal, handle, Instant::now())?;
                (prepared.text, prepared.bound)
            }
        };
        let planned = self.plan(caller, &text, ticket.pins, bound.as_ref()).await?;
        bound_to(&planned, bound.as_ref())?;
        self.queries.run(ticket.id, planned, bound).map_err(|error| status(&error))
    }

    /// Stops the run that a `FlightInfo` names.
    fn cancel(&self, caller: &Caller, info: &FlightInfo) -> Result<CancelStatus, Status> {
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.as_ref());
        let ticket = ticket.ok_or_else(|| Status::invalid_argument("the FlightInfo has no endpoint with a ticket"))?;
        let Command::TicketStatementQuery(wire) = command(&ticket.ticket)? else {
            return Ok(CancelStatus::NotCancellable);
        };
        let ticket = self.seal.open(&wire.statement_handle, &caller.principal, Timestamp::now())?;
        Ok(match self.queries.cancel(&caller.principal, ticket.id) {
            true => CancelStatus::Cancelled,
            false => CancelStatus::NotCancellable,
        })
    }

    async fn prepare(
        &self,
        caller: &Caller,
        ask: ActionCreatePreparedStatementRequest,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        outside_transaction(ask.transaction_id.as_ref())?;
        let planned = self.plan(caller, &ask.query, BTreeMap::new(), None).await?;
        let handle = self.statements.keep(&caller.principal, ask.query, Instant::now())?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into_bytes().to_vec().into(),
            dataset_schema: encoded(&planned.schema)?,
            parameter_schema: encoded(&planned.placeholders)?,
        })
    }

    async fn bind(
        &self,
        caller: &Caller,
        query: CommandPreparedStatementQuery,
        data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let handle = handle(&query.prepared_statement_handle)?;
        // asked first, so that nothing is read for a statement that is not there
        self.statements.get(&caller.principal, handle, Instant::now())?;
        let values = Parameters::new(read_batch(data).await?).map_err(|error| status(&error))?;
        self.statements.bind(&caller.principal, handle, values, Instant::now())?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(query.prepared_statement_handle) })
    }
}

/// Reads all batches of an upload into one.
async fn read_batch(
    data: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<RecordBatch, Status> {
    let mut bytes = 0_usize;
    let bounded = data.map(move |message| {
        let message = message.map_err(|status| FlightError::Tonic(Box::new(status)))?;
        bytes += message.data_body.len() + message.data_header.len();
        if bytes > BOUND_BYTES_MAX {
            let words = format!("the bound values take more than {BOUND_BYTES_MAX} bytes, the most; bind fewer rows");
            return Err(FlightError::Tonic(Box::new(Status::resource_exhausted(words))));
        }
        if is_compressed(&message.data_header) {
            let words = "the bound values are compressed, which is not read here; send them as they are";
            return Err(FlightError::Tonic(Box::new(Status::invalid_argument(words))));
        }
        Ok(message)
    });
    // hostile bytes may trip the decoder; a task of its own turns that into an error
    let read = tokio::spawn(async move {
        let mut stream = FlightRecordBatchStream::new_from_flight_data(bounded);
        let mut batches = vec![];
        while let Some(batch) = stream.try_next().await? {
            batches.push(batch);
        }
        let schema = stream.schema().cloned();
        Ok::<_, FlightError>((schema, batches))
    });
    let unreadable = |words: String| Status::invalid_argument(format!("the bound values cannot be read: {words}"));
    let (schema, batches) = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(FlightError::Tonic(status))) => return Err(*status),
        Ok(Err(error)) => return Err(unreadable(error.to_string())),
        Err(_panicked) => return Err(unreadable("they are no Arrow data".into())),
    };
    let schema = schema.ok_or_else(|| unreadable("there is no schema before them".into()))?;
    arrow::compute::concat_batches(&schema, &batches).map_err(|error| unreadable(error.to_string()))
}

/// Whether the buffers of a message are compressed. They would take as much memory as their sender says before one byte
/// is decompressed: more than there is ends the process.
fn is_compressed(header: &[u8]) -> bool {
    // what is no message is for the decoder to refuse
    let Ok(message) = root_as_message(header) else { return false };
    let of_dictionary = || message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let batch = message.header_as_record_batch().or_else(of_dictionary);
    batch.is_some_and(|batch| batch.compression().is_some())
}

/// That a statement with placeholders has values for them.
fn bound_to(planned: &Planned, bound: Option<&Parameters>) -> Result<(), Status> {
    let fields = planned.placeholders.fields();
    if bound.is_some() || fields.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let words = format!("no values are bound to the placeholders {}; prepare it and bind them", names.join(", "));
    Err(status(&Error::Parameters(words)))
}

/// That a statement is of no transaction: there are none that it could see.
fn outside_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => {
            Err(Status::invalid_argument(format!("{NO_TRANSACTIONS}; send the statement without a transaction_id")))
        }
        _ => Ok(()),
    }
}

fn handle(bytes: &Bytes) -> Result<Uuid, Status> {
    Uuid::from_slice(bytes).map_err(|_| Status::invalid_argument("the handle is none of a prepared statement's"))
}

fn described(schema: &SchemaRef) -> Result<FlightInfo, Status> {
    let info = FlightInfo::new().try_with_schema(schema).map_err(|error| internal(&error.to_string()))?;
    // how many rows and bytes there are is known when they were read
    Ok(info.with_total_records(-1).with_total_bytes(-1).with_ordered(true))
}

/// A table as a flight; its tickets are given by `GetFlightInfo`.
async fn flight(queries: &Queries, principal: &Principal, table: &Listed) -> Result<FlightInfo, Status> {
    // one that the caller may list but has no column to see in
    let columns = queries.columns(principal, table).await.unwrap_or_else(|_| Schema::empty().into());
    let query = format!("SELECT * FROM {}.{}", quoted(&table.schema), quoted(&table.name));
    let descriptor = FlightDescriptor::new_cmd(packed(&CommandStatementQuery { query, transaction_id: None }));
    Ok(described(&columns)?.with_descriptor(descriptor))
}

/// A name as SQL takes it whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// That a command is not for this server.
fn not_here(command: &Command) -> Status {
    match command {
        Command::CommandStatementUpdate(_)
        | Command::CommandPreparedStatementUpdate(_)
        | Command::CommandStatementIngest(_) => Status::invalid_argument(READ_ONLY),
        Command::CommandStatementSubstraitPlan(_) => {
            Status::unimplemented("Substrait plans are not run here; send SQL")
        }
        _ => Status::unimplemented("this Flight SQL command is not known here"),
    }
}

/// Batches as the protocol sends them: one is encoded when the one before has been taken.
fn stream(
    schema: SchemaRef,
    rows: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightDataEncoderBuilder::new().with_schema(schema).build(rows).map_err(Status::from).boxed()
}

fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(unauthenticated)
}

fn one<T: Send + 'static>(item: T) -> BoxStream<'static, Result<T, Status>> {
    futures::stream::iter([Ok(item)]).boxed()
}

#[tonic::async_trait]
impl FlightService for Face {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoActionStream = BoxStream<'static, Result<ActionResult, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;

    /// Lets a client that begins with a handshake go on: the guard has seen its credentials, and sees them at each call.
    /// One that came with a password is told to send it as the bearer's token from now on.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        caller(&request)?;
        let given = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let bearer = given.and_then(mainspring_govern::presented_key).map(|key| format!("Bearer {key}"));
        let mut response = Response::new(one(HandshakeResponse::default()));
        if let Some(bearer) = bearer.and_then(|bearer| bearer.parse().ok()) {
            response.metadata_mut().insert("authorization", bearer);
        }
        Ok(response)
    }

    /// Lists the tables that the caller may read, each as the query of all its rows: `GetFlightInfo` takes its
    /// descriptor.
    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let principal = caller(&request)?.principal;
        if !request.get_ref().expression.is_empty() {
            let words = "flights are listed without criteria; the Flight SQL command GetTables takes patterns";
            return Err(Status::invalid_argument(words));
        }
        let tables = self.queries.tables(&principal).await.map_err(|error| status(&error))?;
        let queries = self.queries.clone();
        // columns are looked up for one table after another, as the client takes them
        let flights = futures::stream::iter(tables.into_iter().take(FLIGHTS_MAX)).then(move |table| {
            let (queries, principal) = (queries.clone(), principal.clone());
            async move { flight(&queries, &principal, &table).await }
        });
        Ok(Response::new(flights.boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.info_of(&caller, request.into_inner()).await?))
    }

    /// Answers at once that the query can be read: planning is all that is done before.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let caller = caller(&request)?;
        let info = self.info_of(&caller, request.into_inner()).await?;
        Ok(Response::new(PollInfo {
            info: Some(info),
            flight_descriptor: None,
            progress: Some(1.0),
            expiration_time: None,
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = caller(&request)?;
        let schema = match command(&request.get_ref().cmd)? {
            Command::CommandStatementQuery(query) => {
                outside_transaction(query.transaction_id.as_ref())?;
                self.plan(&caller, &query.query, BTreeMap::new(), None).await?.schema
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = handle(&query.prepared_statement_handle)?;
                let Prepared { text, bound } = self.statements.get(&caller.principal, handle, Instant::now())?;
                self.plan(&caller, &text, BTreeMap::new(), bound.as_ref()).await?.schema
            }
            other => metadata::schema(&other)?.ok_or_else(|| not_here(&other))?,
        };
        Ok(Response::new(SchemaResult { schema: encoded(&schema)? }))
    }

    async fn do_get(&self, request: Request<WireTicket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = caller(&request)?;
        let ticket = &request.get_ref().ticket;
        // a bare ticket of this server's is none of its bytes: what does not even parse is foreign
        let command = command(ticket).map_err(|_| Status::from(BadTicket::Foreign))?;
        if let Command::TicketStatementQuery(wire) = &command {
            let rows = self.rows_of(&caller, &wire.statement_handle).await?;
            let schema = rows.schema.clone();
            return Ok(Response::new(stream(schema, rows.map_err(|error| status(&error)))));
        }
        let unknown = not_here(&command);
        let answer = metadata::answer(&self.queries, &caller.principal, command).await?.ok_or(unknown)?;
        Ok(Response::new(stream(answer.schema(), futures::stream::iter([Ok(answer)]))))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = caller(&request)?;
        let mut data = request.into_inner();
        let first = data.message().await?.ok_or_else(|| Status::invalid_argument("the upload is empty"))?;
        let descriptor = first.flight_descriptor.as_ref();
        let descriptor = descriptor.ok_or_else(|| Status::invalid_argument("the upload names no command"))?;
        match command(&descriptor.cmd)? {
            Command::CommandPreparedStatementQuery(query) => {
                let all = futures::stream::iter([Ok(first)]).chain(data);
                let result = self.bind(&caller, query, all).await?;
                Ok(Response::new(one(PutResult { app_metadata: result.encode_to_vec().into() })))
            }
            other => Err(not_here(&other)),
        }
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("there is nothing to exchange here; queries are read by GetFlightInfo and DoGet"))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = caller(&request)?;
        let action = request.get_ref();
        let body = match action.r#type.as_str() {
            "CreatePreparedStatement" => packed(&self.prepare(&caller, self::request(action)?).await?),
            "ClosePreparedStatement" => {
                let ask: ActionClosePreparedStatementRequest = self::request(action)?;
                self.statements.close(&caller.principal, handle(&ask.prepared_statement_handle)?);
                return Ok(Response::new(futures::stream::empty().boxed()));
            }
            "CancelQuery" => {
                let ask: ActionCancelQueryRequest = self::request(action)?;
                let info = FlightInfo::decode(ask.info).map_err(|error| Status::invalid_argument(error.to_string()))?;
                // the two enumerations have the same numbers
                packed(&ActionCancelQueryResult { result: self.cancel(&caller, &info)? as i32 })
            }
            "CancelFlightInfo" => {
                let ask = CancelFlightInfoRequest::decode(action.body.clone());
                let info = ask.map_err(|error| Status::invalid_argument(error.to_string()))?.info;
                let info = info.ok_or_else(|| Status::invalid_argument("the request holds no FlightInfo"))?;
                let mut result = CancelFlightInfoResult::default();
                result.set_status(self.cancel(&caller, &info)?);
                result.encode_to_vec().into()
            }
            "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => {
                return Err(Status::unimplemented(NO_TRANSACTIONS));
            }
            other => {
                let known: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
                let words = format!("there is no action `{other}`; there are {}", known.join(", "));
                return Err(Status::unimplemented(words));
            }
        };
        Ok(Response::new(one(ActionResult { body })))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions = ACTIONS.map(|(name, what)| Ok(ActionType { r#type: name.into(), description: what.into() }));
        Ok(Response::new(futures::stream::iter(actions).boxed()))
    }
}
