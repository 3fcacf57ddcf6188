//! The query that joins labels to predictions.

use jiff::Timestamp;
use mainspring_serve::log_column;
use mainspring_spec::{Model, Task, Window};

use super::{KEY_SEPARATOR, LABELS_TABLE};
use crate::sql;
use crate::window::sql_unit;

/// The version that answered, in SQL; 0 for the endpoint's constant when no version could answer.
pub(crate) const VERSION: &str = "coalesce(CAST(model_version AS BIGINT), 0)";

/// A condition for the predictions of a model, and of the constant in its place.
pub(crate) fn of_model(model: &str) -> String {
    format!("(model = {} OR model IS NULL)", sql::text(model))
}

/// Which predictions are joined to which labels.
#[derive(Debug, Clone)]
pub(crate) struct LabelJoin<'a> {
    /// The model whose predictions are joined.
    pub model: &'a Model,
    /// The table of the prediction log, `schema.name`.
    pub log: String,
    /// The table that the observations are in, when it exists.
    pub observations: Option<String>,
    /// The columns that name an observation.
    pub key: &'a [String],
    /// Whether labels have ever been pushed.
    pub pushed: bool,
    /// How predictions are grouped.
    pub window: Window,
    /// Predictions from this moment on.
    pub from: Timestamp,
    /// Predictions before this moment.
    pub to: Timestamp,
    /// Labels known by this moment.
    pub until: Timestamp,
}

impl LabelJoin<'_> {
    /// A query with one row for each labelled prediction: `window_from`, `version`, `prediction`, `predicted_class`,
    /// `probabilities` and `label`. `None` when there is nothing that labels could come from.
    ///
    /// Of several labels for one prediction one pushed by its identifier wins over one pushed by key, that over the
    /// source's, and among those the one known last.
    pub(crate) fn query(&self) -> Option<String> {
        let candidates = [self.pushed_by_id(), self.pushed_by_key(), self.of_source()];
        let candidates: Vec<String> = candidates.into_iter().flatten().collect();
        if candidates.is_empty() {
            return None;
        }
        Some(format!(
            "WITH predicted AS ({predicted}), candidates AS ({candidates}), \
             ranked AS (SELECT *, row_number() OVER (PARTITION BY prediction_id ORDER BY __rank, __known_at DESC) AS __nth FROM candidates) \
             SELECT window_from, version, prediction, predicted_class, probabilities, __label AS label FROM ranked WHERE __nth = 1",
            predicted = self.predicted(),
            candidates = candidates.join(" UNION ALL "),
        ))
    }

    fn predicted(&self) -> String {
        let keys = self.key.iter().map(|column| sql::name(&log_column(column)));
        let keys: String = keys.enumerate().map(|(i, column)| format!(", {column} AS __key_{i}")).collect();
        format!(
            "SELECT prediction_id, date_trunc('{unit}', as_of) AS window_from, {VERSION} AS version, \
             prediction, predicted_class, probabilities{keys} FROM {log} \
             WHERE {of_model} AND as_of >= {from} AND as_of < {to} AND prediction_id IS NOT NULL",
            unit = sql_unit(self.window),
            log = self.log,
            of_model = of_model(&self.model.name),
            from = sql::moment(self.from),
            to = sql::moment(self.to),
        )
    }

    fn of_source(&self) -> Option<String> {
        let table = self.observations.as_ref().filter(|_| !self.key.is_empty())?;
        let observed = &self.model.observations;
        let keys: String =
            self.key.iter().enumerate().map(|(i, column)| format!(", {} AS __key_{i}", sql::name(column))).collect();
        let known_at = match observed.label_known_at.as_ref().or(observed.at.as_ref()) {
            Some(expression) => format!("arrow_cast(({expression}), 'Timestamp(Microsecond, Some(\"UTC\"))')"),
            None => sql::moment(Timestamp::UNIX_EPOCH),
        };
        let filter = observed.filter.as_ref().map(|filter| format!(" WHERE ({filter})")).unwrap_or_default();
        let on: Vec<String> = (0..self.key.len()).map(|i| format!("p.__key_{i} = l.__key_{i}")).collect();
        Some(format!(
            "SELECT p.*, l.__label, l.__known_at, 2 AS __rank FROM predicted p JOIN \
             (SELECT {label} AS __label, {known_at} AS __known_at{keys} FROM {table}{filter}) l ON {on} \
             WHERE {usable} AND l.__known_at <= {until}",
            label = self.cast(&format!("({})", observed.label)),
            on = on.join(" AND "),
            usable = match self.model.task {
                // Neither training nor watching can use a number that is none.
                Task::Regression => "abs(l.__label) <= 1.7976931348623157e308",
                Task::Binary | Task::Multiclass => "l.__label IS NOT NULL",
            },
            until = sql::moment(self.until),
        ))
    }

    fn pushed_by_id(&self) -> Option<String> {
        self.pushed.then(|| self.pushed_on("l.prediction_id = p.prediction_id", 0))
    }

    fn pushed_by_key(&self) -> Option<String> {
        if !self.pushed || self.key.is_empty() {
            return None;
        }
        let parts: Vec<String> = (0..self.key.len()).map(|i| format!("CAST(p.__key_{i} AS VARCHAR)")).collect();
        let text = parts.join(&format!(" || {} || ", sql::text(&KEY_SEPARATOR.to_string())));
        Some(self.pushed_on(&format!("l.key = {text}"), 1))
    }

    fn pushed_on(&self, on: &str, rank: u8) -> String {
        format!(
            "SELECT p.*, {label} AS __label, l.known_at AS __known_at, {rank} AS __rank FROM predicted p JOIN {schema}.{table} l ON {on} \
             WHERE l.model = {model} AND l.known_at <= {until}",
            label = self.cast("l.label"),
            schema = LABELS_TABLE.0,
            table = LABELS_TABLE.1,
            model = sql::text(&self.model.name),
            until = sql::moment(self.until),
        )
    }

    fn cast(&self, expression: &str) -> String {
        let target = match self.model.task {
            Task::Binary => "BOOLEAN",
            Task::Multiclass => "VARCHAR",
            Task::Regression => "DOUBLE",
        };
        format!("CAST({expression} AS {target})")
    }
}
