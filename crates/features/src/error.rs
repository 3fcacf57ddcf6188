//! The ways in which this layer fails, worded for the person who meets them.

/// What goes wrong when features are compiled, computed, stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A view is named that nobody declared.
    #[error("no feature view is called `{view}`; declared are: {declared}")]
    UnknownView {
        /// The name asked for.
        view: String,
        /// The names there are.
        declared: String,
    },
    /// A feature is named that its view does not have.
    #[error("feature view `{view}` has no feature `{feature}`; it has: {features}")]
    UnknownFeature {
        /// The view.
        view: String,
        /// The name asked for.
        feature: String,
        /// The names there are.
        features: String,
    },
    /// A view of a kind that the operation is not for.
    #[error("feature view `{view}` is computed from the request, so {operation} does not apply to it")]
    NothingStored {
        /// The view.
        view: String,
        /// What was asked.
        operation: &'static str,
    },
    /// A query lacks a column that the declaration names.
    #[error("feature view `{view}`: its query has no column `{column}`, which is {role}; add it to the select list")]
    MissingColumn {
        /// The view.
        view: String,
        /// The column.
        column: String,
        /// What the column is to the view.
        role: String,
    },
    /// A column that should be a moment is none.
    #[error(
        "feature view `{view}`: `{column}` is its written_at and has type {found}; cast it to timestamp in the query"
    )]
    WrittenAt {
        /// The view.
        view: String,
        /// The column.
        column: String,
        /// Its type.
        found: mainspring_spec::DataType,
    },
    /// A column has a type that features cannot have.
    #[error(
        "feature view `{view}`: `{column}` has type {found}, which a feature cannot have; cast it in SQL to a boolean, a number, text, a timestamp or a date"
    )]
    UnsupportedType {
        /// The view.
        view: String,
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// Two columns of a view's table would have one name.
    #[error("feature view `{view}`: `{column}` is already the name of {role}; give the aggregate another name")]
    NameTaken {
        /// The view.
        view: String,
        /// The name.
        column: String,
        /// What has the name.
        role: &'static str,
    },
    /// An aggregate that makes no sense for its operand.
    #[error("feature view `{view}`: aggregate `{aggregate}`: {reason}")]
    Aggregate {
        /// The view.
        view: String,
        /// The aggregate.
        aggregate: String,
        /// What is wrong, and the edit that mends it.
        reason: String,
    },
    /// SQL that does not compile.
    #[error("feature view `{view}`: `{name}`: {reason}; the SQL is: {sql}")]
    Sql {
        /// The view.
        view: String,
        /// The feature or part of the view.
        name: String,
        /// The SQL as written.
        sql: String,
        /// Why it does not compile.
        reason: String,
        /// The name that means nothing, where it is that.
        unknown: Option<Box<mainspring_spec::UnknownName>>,
    },
    /// An expression whose value is not a function of its inputs.
    #[error(
        "feature view `{view}`: `{name}` calls `{function}`, whose value differs from call to call, so training and serving could not agree; pass the moment as a request field"
    )]
    Volatile {
        /// The view.
        view: String,
        /// The feature.
        name: String,
        /// The function.
        function: String,
    },
    /// Request views that use each other.
    #[error("feature view `{view}` uses its own features by way of others: {path}; take one of the `uses` away")]
    Cycle {
        /// The view.
        view: String,
        /// The way round.
        path: String,
    },
    /// An aggregate over, or a reference to, something that is neither a source nor a SQL view.
    #[error("feature view `{view}` reads from `{from}`, which is neither a source nor a SQL view")]
    UnknownTable {
        /// The view.
        view: String,
        /// The name.
        from: String,
    },
    /// A view that aggregates over time reads rows that have none.
    #[error(
        "feature view `{view}` aggregates over windows of time, but `{from}` has no event time; add `event_time:` to the view"
    )]
    NoEventTime {
        /// The view.
        view: String,
        /// The table read.
        from: String,
    },
    /// A view's table does not exist yet.
    #[error("feature view `{view}` has not been computed yet; run `mainspring backfill {view}` or `mainspring run`")]
    NotComputed {
        /// The view.
        view: String,
    },
    /// A table that a view reads does not exist yet.
    #[error("feature view `{view}` reads {table}, which does not exist yet; run `mainspring run` to ingest it")]
    NoInput {
        /// The view.
        view: String,
        /// The table.
        table: String,
    },
    /// A view that the model needs is not in the online store.
    #[error(
        "feature view `{view}` is not kept online, so it cannot be looked up when serving; remove `online: false`, or give it an `entity:` to look it up by"
    )]
    NotOnline {
        /// The view.
        view: String,
    },
    /// Observations lack a column.
    #[error("the observations have no column `{column}`, which {role}; add it to their query")]
    ObservationColumn {
        /// The column.
        column: String,
        /// What needs it.
        role: String,
    },
    /// Observations have a column of a feature's name.
    #[error(
        "the observations have a column `{column}`, and so has the result: it is a feature; rename or leave out the column"
    )]
    ObservationCollision {
        /// The name.
        column: String,
    },
    /// A value of a request that cannot be read.
    #[error("row {row}: field `{field}` must be {expected}, not {found}")]
    RequestField {
        /// The row's place in the request, from 0.
        row: usize,
        /// The field.
        field: String,
        /// The type declared, with how it is written.
        expected: &'static str,
        /// The value found, shortened.
        found: String,
    },
    /// The prediction log lacks something that the check needs.
    #[error("cannot check `{endpoint}`: {reason}")]
    Check {
        /// The endpoint.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// The online store failed.
    #[error("the online store failed while {doing}: {reason}")]
    Online {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        reason: String,
    },
    /// The online store holds bytes that cannot be read.
    #[error("the online store holds a damaged {what} of `{view}`; drop and materialise the view again")]
    Damaged {
        /// The view.
        view: String,
        /// What cannot be read.
        what: &'static str,
    },
    /// Nothing takes a push of this name.
    #[error("nothing is pushed as `{push}`; sources take pushes as: {known}")]
    UnknownPush {
        /// The name.
        push: String,
        /// The names there are.
        known: String,
    },
    /// A view whose rows nobody can write directly.
    #[error("feature view `{view}` takes no rows from clients: {reason}")]
    NotWritable {
        /// The view.
        view: String,
        /// Why, and the edit that mends it.
        reason: String,
    },
    /// A push that cannot be taken as it is.
    #[error("the push to `{source_name}` cannot be taken: {reason}")]
    Push {
        /// The source.
        source_name: String,
        /// Why, and what mends it.
        reason: String,
    },
    /// So much was pushed that has not landed in the lake yet, that no more is taken.
    #[error(
        "{rows} rows pushed to `{source_name}` wait to land in the lake, and no more are taken until they do; see the server's log"
    )]
    PushesWaiting {
        /// The source.
        source_name: String,
        /// How many.
        rows: u64,
    },
    /// Pushed rows were refused by their source's rules, or could not land.
    #[error(transparent)]
    Ingest(#[from] mainspring_ingest::Error),
    /// A declaration does not resolve.
    #[error("{0}")]
    Project(String),
    /// The online store was asked for where there is none.
    #[error(
        "the feature store was opened without its online store, which the server on this folder may hold; ask the server"
    )]
    Offline,
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] mainspring_lake::Error),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),
    /// The query engine failed.
    #[error("the query engine failed: {0}")]
    Query(#[from] datafusion::error::DataFusionError),
    /// Arrow failed.
    #[error("computing on columns failed: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// The result of this layer's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What the engine said of a piece of SQL of a view.
    pub(crate) fn sql(
        view: &mainspring_spec::FeatureView,
        name: &str,
        sql: &str,
        error: &datafusion::error::DataFusionError,
    ) -> Self {
        Self::Sql {
            view: view.name.clone(),
            name: name.into(),
            sql: sql.into(),
            reason: error.strip_backtrace(),
            unknown: mainspring_lake::unknown_name(error),
        }
    }
}
