//! The service over a port of its own, asked by the client of `arrow-flight`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetDbSchemas,
    CommandGetTables, CommandPreparedStatementQuery, CommandStatementIngest, ProstMessageExt, SqlInfo,
    SqlSupportedCaseSensitivity,
};
use arrow_flight::{Action, Criteria, FlightData, FlightDescriptor, FlightInfo};
use futures::TryStreamExt;
use jiff::Timestamp;
use mainspring_catalog::{AuditQuery, Catalog, Outcome, Principal};
use mainspring_features::{FeatureStore, FjallStore};
use mainspring_flow::{Engine, PlatformWork};
use mainspring_govern::{AllowedHosts, Authorizer, Identity, NewKey, Reach, Role};
use mainspring_ingest::Ingestor;
use mainspring_lake::{Lake, LakeConfig, WriteId, stream_of};
use mainspring_registry::{Registry, WebhookSender};
use mainspring_serve::{LakeSink, ServeConfig, ServeEngine};
use mainspring_spec::{Project, QueryLimits, Source};
use mainspring_train::TrainContext;
use mainspring_watch::Watch;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};

use crate::app::{App, Layers, Parts};
use crate::http::Caller;
use crate::query::RowLimits;
use crate::views::{self, Look, Personal};

const SOURCE: &str = "source: orders
path: orders.csv
columns:
  - {name: order_id, type: int64}
  - {name: email, type: string, personal: true}
key: [order_id]
";

/// A server over a thousand orders; `ada` administers it, `vera` looks.
struct Service {
    app: App,
    address: String,
    _folder: tempfile::TempDir,
}

async fn app(folder: &std::path::Path) -> App {
    std::fs::write(folder.join("mainspring.yaml"), "project: shop\n").unwrap();
    std::fs::create_dir(folder.join("sources")).unwrap();
    std::fs::write(folder.join("sources/orders.yaml"), SOURCE).unwrap();
    let project: Arc<Project> = Arc::new(mainspring_spec::load(folder).unwrap());
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let config = LakeConfig {
        root: folder.join("lake").display().to_string(),
        memory_bytes: 64 << 20,
        spill_dir: folder.join("spill"),
        threads: 2,
    };
    let lake = Lake::open(config).await.unwrap();
    let ids = Int64Array::from_iter_values(0..1_000);
    let emails = StringArray::from_iter_values((0..1_000).map(|id| format!("p{id}@example.org")));
    let rows =
        RecordBatch::try_from_iter([("order_id", Arc::new(ids) as _), ("email", Arc::new(emails) as _)]).unwrap();
    let id = WriteId { app: "test".into(), sequence: 1 };
    let orders = "sources.orders".parse().unwrap();
    lake.append(&orders, stream_of(rows.schema(), vec![rows]), id).await.unwrap();
    let registry = Registry::new(catalog.clone(), folder.join("artifacts"));
    let identity = Identity::open(catalog.clone()).await.unwrap();
    for (name, role) in [("ada", Role::Admin), ("vera", Role::Viewer), ("carl", Role::Caller)] {
        identity.create_key(&Principal::local_owner(), NewKey::user(name, role)).await.unwrap();
    }
    let online = Arc::new(FjallStore::open(folder.join("online")).unwrap());
    let features = FeatureStore::open(lake.clone(), catalog.clone(), online, project.clone());
    let watch = Watch::new(lake.clone(), catalog.clone(), registry.clone(), project.clone());
    let work = PlatformWork {
        catalog: catalog.clone(),
        ingestor: Ingestor::new(lake.clone(), catalog.clone(), project.clone()),
        features: features.clone(),
        training: TrainContext {
            lake: lake.clone(),
            features: features.clone(),
            registry: registry.clone(),
            project: project.clone(),
        },
        watch: watch.clone(),
    };
    let layers = Layers {
        project: project.clone(),
        features,
        watch,
        authorizer: Arc::new(Authorizer::new(&project.policies).unwrap().with_roles(identity.roles())),
        flow: Engine::new(catalog.clone(), Arc::new(work), 1),
    };
    let limits = QueryLimits { rows: 1_000_000, rows_of: [("viewer".to_owned(), 10)].into() };
    App::new(Parts {
        webhooks: WebhookSender::new(registry.clone(), Reach::Public),
        serve: ServeEngine::new(ServeConfig::default(), Arc::new(LakeSink::new(lake.clone()))),
        catalog,
        lake,
        registry,
        identity,
        layers: Arc::new(ArcSwap::from_pointee(layers)),
        metrics: Arc::default(),
        started_at: Timestamp::now(),
        changed: Arc::default(),
        looked: Arc::default(),
        row_limits: RowLimits::declared(&limits).unwrap(),
        hosts: Arc::new(AllowedHosts::new("127.0.0.1:1".parse().unwrap(), &[])),
    })
}

async fn start() -> Service {
    let folder = tempfile::tempdir().unwrap();
    let app = app(folder.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // stands for the guard of the port, which is tested where it is
    let named = |mut request: Request<()>| -> Result<Request<()>, Status> {
        let name = request.metadata().get("x-caller").and_then(|name| name.to_str().ok()).map(ToOwned::to_owned);
        if let Some(name) = name {
            request.extensions_mut().insert(Caller { principal: Principal::user(name) });
        }
        Ok(request)
    };
    let service = InterceptedService::new(super::service(app.clone()).unwrap(), named);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    Service { app, address, _folder: folder }
}

impl Service {
    async fn client(&self, name: &str) -> FlightSqlServiceClient<Channel> {
        let channel = Endpoint::from_shared(self.address.clone()).unwrap().connect().await.unwrap();
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_header("x-caller", name);
        client
    }
}

async fn read(client: &mut FlightSqlServiceClient<Channel>, info: &FlightInfo) -> Result<RecordBatch, String> {
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let stream = client.do_get(ticket).await.map_err(|error| error.to_string())?;
    let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(|error| error.to_string())?;
    let schema = info.clone().try_decode_schema().unwrap();
    Ok(arrow::compute::concat_batches(&Arc::new(schema), &batches).unwrap())
}

async fn ask(client: &mut FlightSqlServiceClient<Channel>, sql: &str) -> Result<RecordBatch, String> {
    let info = client.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())?;
    read(client, &info).await
}

fn first(batch: &RecordBatch) -> i64 {
    batch.column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn tables_views_and_older_versions_are_read_by_sql() {
    let service = start().await;
    let mut ada = service.client("ada").await;

    assert_eq!(first(&ask(&mut ada, "SELECT count(*) FROM orders").await.unwrap()), 1_000);
    assert_eq!(first(&ask(&mut ada, "SELECT sum(order_id) FROM sources.\"orders@0\"").await.unwrap()), 499_500);
    assert_eq!(first(&ask(&mut ada, "SELECT count(*) FROM platform.audit").await.unwrap()), 3, "three keys were made");
    assert!(ask(&mut ada, "SELECT * FROM orders_").await.unwrap_err().contains("did you mean sources.orders"));
    assert!(ask(&mut ada, "SELECT * FROM sources.\"orders@9\"").await.unwrap_err().contains("no version 9"));
    assert!(ask(&mut ada, "DROP TABLE orders").await.unwrap_err().contains("only queries are run here"));
    let sneaky = "EXPLAIN ANALYZE INSERT INTO sources.orders SELECT * FROM sources.orders";
    assert!(ask(&mut ada, sneaky).await.unwrap_err().contains("only queries are run here"));
    let nothing = futures::stream::iter(Vec::<Result<RecordBatch, arrow_flight::error::FlightError>>::new());
    let ingested = ada.execute_ingest(CommandStatementIngest::default(), nothing).await;
    assert!(ingested.is_err());
}

#[tokio::test]
async fn each_reads_what_the_policy_and_the_marks_allow() {
    let service = start().await;
    let (mut ada, mut vera) = (service.client("ada").await, service.client("vera").await);
    let mut carl = service.client("carl").await;

    assert_eq!(ask(&mut ada, "SELECT * FROM orders").await.unwrap().num_columns(), 2);
    let seen = ask(&mut vera, "SELECT * FROM orders LIMIT 3").await.unwrap();
    assert_eq!((seen.num_columns(), seen.schema().field(0).name().as_str()), (1, "order_id"));
    let hidden = ask(&mut vera, "SELECT count(*) FROM orders WHERE email LIKE 'p1%'").await.unwrap_err();
    assert!(hidden.contains("tells of persons") && hidden.contains("table.read_personal"), "{hidden}");
    assert!(ask(&mut vera, "SELECT * FROM platform.audit").await.unwrap_err().contains("audit.read"));
    assert!(ask(&mut carl, "SELECT 1 FROM orders").await.unwrap_err().contains("table.read"));
    let long = ask(&mut vera, "SELECT order_id FROM orders").await.unwrap_err();
    assert!(long.contains("more than 10 rows") && long.contains("query.rows_of.viewer"), "{long}");

    let asked = AuditQuery { action: Some("table.read_personal".into()), ..AuditQuery::default() };
    let entries = service.app.catalog.audit(asked).await.unwrap();
    assert_eq!((entries.len(), entries[0].outcome), (1, Outcome::Denied));
    let every = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    let info = carl.get_tables(every.clone()).await.unwrap();
    assert_eq!(read(&mut carl, &info).await.unwrap().num_rows(), 0);
    let info = ada.get_tables(every).await.unwrap();
    assert_eq!(read(&mut ada, &info).await.unwrap().num_rows(), 11);
}

/// Applies the project with its sources changed.
fn apply(app: &App, change: impl FnOnce(&mut BTreeMap<String, Source>)) {
    let before = app.layers();
    let mut project = (*before.project).clone();
    change(&mut project.sources);
    app.layers.store(Arc::new(Layers {
        project: Arc::new(project),
        features: before.features.clone(),
        watch: before.watch.clone(),
        authorizer: before.authorizer.clone(),
        flow: before.flow.clone(),
    }));
}

#[tokio::test]
async fn a_table_whose_declaration_is_gone_is_read_only_by_those_who_may_read_personal_data() {
    let service = start().await;
    let (mut ada, mut vera) = (service.client("ada").await, service.client("vera").await);
    apply(&service.app, BTreeMap::clear);

    for sql in ["SELECT * FROM orders", "SELECT count(*) FROM orders", "SELECT email FROM sources.\"orders@0\""] {
        let hidden = ask(&mut vera, sql).await.unwrap_err();
        let words =
            ["sources.orders is not shown", "declare it again", "table.read_personal", "the least role that does"];
        assert!(words.iter().all(|word| hidden.contains(word)), "{sql}: {hidden}");
    }
    assert_eq!(ask(&mut ada, "SELECT * FROM orders").await.unwrap().num_columns(), 2);
    let asked = AuditQuery { action: Some("table.read_personal".into()), ..AuditQuery::default() };
    assert_eq!(service.app.catalog.audit(asked).await.unwrap().len(), 3);
    // what there is can still be listed, and what nothing ever declares can be read
    let every = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    let info = vera.get_tables(every).await.unwrap();
    assert!(read(&mut vera, &info).await.unwrap().num_rows() > 1);
    assert_eq!(ask(&mut vera, "SELECT * FROM platform.runs").await.unwrap().num_rows(), 0);
    let look = Look::at(&service.app);
    let withheld = views::table(&look, "sources.orders", Personal::Withheld).await.unwrap();
    let shown = views::table(&look, "sources.orders", Personal::Shown).await.unwrap();
    assert!(withheld.description.contains("until it is declared again"), "{}", withheld.description);
    assert_eq!(shown.description, "");
}

#[tokio::test]
async fn a_column_whose_declaration_is_gone_is_left_out_as_one_that_tells_of_persons() {
    let service = start().await;
    let (mut ada, mut vera) = (service.client("ada").await, service.client("vera").await);
    apply(&service.app, |sources| {
        sources.get_mut("orders").unwrap().columns.retain(|column| column.name != "email");
    });

    let seen = ask(&mut vera, "SELECT * FROM orders LIMIT 3").await.unwrap();
    assert_eq!((seen.num_columns(), seen.schema().field(0).name().as_str()), (1, "order_id"));
    assert!(ask(&mut vera, "SELECT email FROM orders LIMIT 3").await.unwrap_err().contains("table.read_personal"));
    assert_eq!(ask(&mut ada, "SELECT * FROM orders").await.unwrap().num_columns(), 2);
}

#[tokio::test]
async fn a_ticket_is_of_no_use_to_another_and_nobody_unnamed_is_answered() {
    let service = start().await;
    let (mut ada, mut vera) = (service.client("ada").await, service.client("vera").await);
    let info = ada.execute("SELECT email FROM orders".into(), None).await.unwrap();

    assert!(read(&mut vera, &info).await.unwrap_err().contains("given to somebody else"));
    let channel = Endpoint::from_shared(service.address.clone()).unwrap().connect().await.unwrap();
    let mut nobody = FlightSqlServiceClient::new(channel);
    assert!(ask(&mut nobody, "SELECT 1").await.unwrap_err().contains("does not say who asks"));
    assert_eq!(read(&mut ada, &info).await.unwrap().num_rows(), 1_000);
}

#[tokio::test]
async fn prepared_statements_run_once_for_each_row_of_values() {
    let service = start().await;
    let mut ada = service.client("ada").await;
    let mut prepared =
        ada.prepare("SELECT order_id FROM orders WHERE order_id = ? AND email = ?".into(), None).await.unwrap();
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 2);

    assert!(prepared.execute().await.unwrap_err().to_string().contains("no values are bound"));
    let ids = Int64Array::from(vec![7, 8, 9]);
    let emails = StringArray::from(vec!["p7@example.org", "nobody", "p9@example.org"]);
    let values = RecordBatch::try_from_iter([("1", Arc::new(ids) as _), ("2", Arc::new(emails) as _)]).unwrap();
    prepared.set_parameters(values).unwrap();
    let info = prepared.execute().await.unwrap();
    let found = read(&mut ada, &info).await.unwrap();
    assert_eq!(found.column(0).as_primitive::<Int64Type>().values(), &[7, 9]);
    prepared.close().await.unwrap();
    assert!(read(&mut ada, &info).await.unwrap_err().contains("no such prepared statement"));
}

#[tokio::test]
async fn a_query_whose_reader_goes_away_gives_its_place_back() {
    let service = start().await;
    let mut ada = service.client("ada").await;
    for _ in 0..40 {
        let info = ada.execute("SELECT value FROM generate_series(1, 100000000000)".into(), None).await.unwrap();
        let mut stream = loop {
            // places come back as soon as the server has seen the reader go
            match ada.do_get(info.endpoint[0].ticket.clone().unwrap()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        assert!(stream.try_next().await.unwrap().is_some());
    }
    assert_eq!(first(&ask(&mut ada, "SELECT 1").await.unwrap()), 1);
}

#[tokio::test]
async fn what_would_be_passed_over_is_refused() {
    let service = start().await;
    let mut ada = service.client("ada").await;
    let of_nobody = Some(bytes::Bytes::from_static(b"of nobody"));

    let sampled = ask(&mut ada, "SELECT count(*) FROM orders TABLESAMPLE SYSTEM (10)").await.unwrap_err();
    assert!(sampled.contains("passes over TABLESAMPLE"), "{sampled}");
    let within = ada.execute("SELECT 1".into(), of_nobody.clone()).await.unwrap_err().to_string();
    assert!(within.contains("no transactions"), "{within}");
    assert!(ada.prepare("SELECT 1".into(), of_nobody).await.is_err());
    assert!(ada.execute("SELECT 1".into(), Some(bytes::Bytes::new())).await.is_ok());
}

/// A request of somebody below Flight SQL.
fn by<T>(name: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-caller", name.parse().unwrap());
    request
}

#[tokio::test]
async fn compressed_values_are_refused_before_the_memory_that_they_claim_is_taken() {
    let service = start().await;
    let mut ada = service.client("ada").await;
    let query = "SELECT order_id FROM orders WHERE email = ?".to_owned();
    let ask = ActionCreatePreparedStatementRequest { query, transaction_id: None };
    let action = Action { r#type: "CreatePreparedStatement".into(), body: ask.as_any().encode_to_vec().into() };
    let mut answers = ada.inner_mut().do_action(by("ada", action)).await.unwrap().into_inner();
    let answer = Any::decode(answers.message().await.unwrap().unwrap().body).unwrap();
    let prepared: ActionCreatePreparedStatementResult = answer.unpack().unwrap().unwrap();
    let command = CommandPreparedStatementQuery { prepared_statement_handle: prepared.prepared_statement_handle };
    let emails = StringArray::from(vec!["x".repeat(10_000)]);
    let values = RecordBatch::try_from_iter([("1", Arc::new(emails) as _)]).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
    let encoder = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec())))
        .with_options(options)
        .with_schema(values.schema());
    let mut data: Vec<FlightData> = encoder.build(futures::stream::iter([Ok(values)])).try_collect().await.unwrap();
    // the text is said to take 64 TiB
    let rows = data.last_mut().unwrap();
    let mut body = rows.data_body.to_vec();
    let claimed = body.windows(8).rposition(|bytes| bytes == 10_000_i64.to_le_bytes()).unwrap();
    body[claimed..claimed + 8].copy_from_slice(&(1_i64 << 46).to_le_bytes());
    rows.data_body = body.into();

    let refused = ada.inner_mut().do_put(by("ada", futures::stream::iter(data))).await.unwrap_err();

    assert!(refused.message().contains("are compressed"), "{refused}");
}

#[tokio::test]
async fn metadata_is_asked_for_by_no_more_names_and_no_longer_patterns_than_there_can_be() {
    let service = start().await;
    let mut ada = service.client("ada").await;
    let pattern = Some("%_".repeat(1_000));
    let schemas = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: pattern.clone() };
    let of_tables = CommandGetTables { table_name_filter_pattern: pattern, ..CommandGetTables::default() };
    let kinds = CommandGetTables { table_types: vec!["TABLE".into(); 1_001], ..CommandGetTables::default() };

    for refused in [
        ada.get_sql_info(vec![SqlInfo::FlightSqlServerName; 1_001]).await,
        ada.get_db_schemas(schemas).await,
        ada.get_tables(of_tables).await,
        ada.get_tables(kinds).await,
    ] {
        assert!(refused.unwrap_err().to_string().contains("the most is"));
    }
    let likely = CommandGetTables { table_name_filter_pattern: Some("ord%".into()), ..CommandGetTables::default() };
    let info = ada.get_tables(likely).await.unwrap();
    assert_eq!(read(&mut ada, &info).await.unwrap().num_rows(), 1);
}

#[tokio::test]
async fn tables_are_listed_as_flights_that_can_be_taken() {
    let service = start().await;
    let (mut ada, mut vera) = (service.client("ada").await, service.client("vera").await);

    let listed = vera.inner_mut().list_flights(by("vera", Criteria::default())).await.unwrap().into_inner();
    let flights: Vec<FlightInfo> = listed.try_collect().await.unwrap();
    let is_orders = |flight: &FlightInfo| {
        let command = &flight.flight_descriptor.as_ref().unwrap().cmd;
        String::from_utf8_lossy(command).contains("\"sources\".\"orders\"")
    };
    let orders = flights.into_iter().find(is_orders).unwrap();
    assert_eq!(orders.clone().try_decode_schema().unwrap().fields().len(), 1, "what tells of persons is not shown");

    let taken = ada.inner_mut().get_flight_info(by("ada", orders.flight_descriptor.unwrap())).await.unwrap();
    assert_eq!(read(&mut ada, &taken.into_inner()).await.unwrap().num_rows(), 1_000);
    let narrowed = Criteria { expression: "orders".into() };
    assert!(vera.inner_mut().list_flights(by("vera", narrowed)).await.is_err());
}

#[tokio::test]
async fn quoted_names_are_not_said_to_be_taken_in_any_case() {
    let service = start().await;
    let mut ada = service.client("ada").await;

    let info = ada.get_sql_info(vec![SqlInfo::SqlQuotedIdentifierCase]).await.unwrap();
    let facts = read(&mut ada, &info).await.unwrap();

    let said = facts.column(1).as_union().value(0);
    let unknown = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    assert_eq!(said.as_primitive::<Int32Type>().value(0), unknown);
    assert!(ask(&mut ada, "SELECT \"ORDER_ID\" FROM orders").await.is_err());
    assert!(ask(&mut ada, "SELECT ORDER_ID FROM orders").await.is_ok());
}
