//! Events as they come. Facets are open: only those that are used here are looked into.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mainspring_flow::openlineage::{Observed, ObservedDataset, identifier};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The most events of a batch: each is committed for itself, and an answer has a minute.
const EVENTS_MAX: usize = 1_000;
/// The most datasets of an event on one side.
const DATASETS_MAX: usize = 1_000;
/// The longest name of a job or dataset, and of a namespace: together with its kind a name is a node of the graph.
const NAME_BYTES_MAX: usize = 1_000;
/// The most other names of a dataset that are looked at.
const SYMLINKS_MAX: usize = 20;

/// An event: what is used of it, and what names it.
#[derive(Debug)]
pub struct Received {
    /// What it says, in the words of the layer that keeps it.
    pub observed: Observed,
    /// Names the event by all of it.
    pub id: String,
}

/// A list of events. Each is read for itself; in the place of one that is no event stands why not. Only what is used of
/// them is in memory together.
#[derive(Debug)]
pub struct Batch {
    /// The events in their order.
    pub events: Vec<Result<Received, String>>,
}

/// An event of one of the three kinds.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
enum Event {
    /// Of a run of a job.
    Run(RunEvent),
    /// Of a dataset as such.
    Dataset(DatasetEvent),
    /// Of a job as such.
    Job(JobEvent),
}

impl Received {
    /// Reads an event.
    ///
    /// # Errors
    /// Why it is none.
    fn of(whole: Value) -> Result<Self, String> {
        // told by hand and not by trying, so that the error is about the event that was meant
        let event = if whole.get("run").is_some() {
            serde_path_to_error::deserialize(&whole).map(Event::Run)
        } else if whole.get("dataset").is_some() {
            serde_path_to_error::deserialize(&whole).map(Event::Dataset)
        } else if whole.get("job").is_some() {
            serde_path_to_error::deserialize(&whole).map(Event::Job)
        } else {
            return Err("an event has `run` and `job`, or `dataset`, or `job` (OpenLineage 2-0-2)".into());
        };
        let event = event.map_err(|error| error.to_string())?;
        Ok(Self { observed: event.observed(), id: identifier(whole) })
    }
}

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Events)
    }
}

/// Reads events one after the other.
struct Events;

impl<'de> Visitor<'de> for Events {
    type Value = Batch;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Batch, A::Error> {
        let mut events = vec![];
        while let Some(whole) = list.next_element::<Value>()? {
            if events.len() == EVENTS_MAX {
                let words = format!("a batch has at most {EVENTS_MAX} events; send them in parts");
                return Err(A::Error::custom(words));
            }
            events.push(Received::of(whole));
        }
        Ok(Batch { events })
    }
}

impl JsonSchema for Batch {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LineageEvents".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<Vec<Received>>();
        schema.insert("maxItems".into(), EVENTS_MAX.into());
        schema
    }
}

impl JsonSchema for Received {
    fn schema_name() -> Cow<'static, str> {
        "LineageEvent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Event::json_schema(generator)
    }
}

/// An event of a run of a job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    event_type: Option<EventType>,
    event_time: Moment,
    producer: Uri,
    #[serde(rename = "schemaURL")]
    #[expect(dead_code, reason = "the specification requires it; all versions are read alike")]
    schema_url: Uri,
    run: Run,
    job: Job,
    #[serde(default)]
    inputs: Datasets,
    #[serde(default)]
    outputs: Datasets,
}

/// An event of a dataset as such.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("not" = { "required": ["run"] }))]
pub struct DatasetEvent {
    event_time: Moment,
    producer: Uri,
    #[serde(rename = "schemaURL")]
    #[expect(dead_code, reason = "the specification requires it; all versions are read alike")]
    schema_url: Uri,
    dataset: Dataset,
}

/// An event of a job as such.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("not" = { "anyOf": [{ "required": ["run"] }, { "required": ["dataset"] }] }))]
pub struct JobEvent {
    event_time: Moment,
    producer: Uri,
    #[serde(rename = "schemaURL")]
    #[expect(dead_code, reason = "the specification requires it; all versions are read alike")]
    schema_url: Uri,
    job: Job,
    #[serde(default)]
    inputs: Datasets,
    #[serde(default)]
    outputs: Datasets,
}

/// Where a run is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "LineageEventType")]
pub enum EventType {
    Start,
    Running,
    Complete,
    Abort,
    Fail,
    Other,
}

/// A run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LineageRun")]
pub struct Run {
    #[schemars(with = "String", extend("format" = "uuid"))]
    run_id: Uuid,
    #[serde(default)]
    #[expect(dead_code, reason = "an object, whatever is in it")]
    facets: Option<Map<String, Value>>,
}

/// A job.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "LineageJob")]
pub struct Job {
    namespace: Name,
    name: Name,
    #[serde(default)]
    #[expect(dead_code, reason = "an object, whatever is in it")]
    facets: Option<Map<String, Value>>,
}

/// A dataset.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "LineageDataset")]
pub struct Dataset {
    namespace: Name,
    name: Name,
    #[serde(default)]
    facets: Option<Map<String, Value>>,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:ident, $schema:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $check(&text).map_err(D::Error::custom)?;
                Ok(Self(text))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

text!(
    /// A name or namespace.
    Name,
    check_name,
    schemars::json_schema!({ "type": "string", "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$", "maxLength": NAME_BYTES_MAX })
);

text!(
    /// An address that names who speaks, or a schema.
    Uri,
    check_uri,
    schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:[^\\x00-\\x1f\\x7f-\\x9f]+$", "maxLength": NAME_BYTES_MAX })
);

fn check_name(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("a name or namespace is empty".into()),
        bytes if bytes > NAME_BYTES_MAX => Err(format!("a name has {bytes} bytes; {NAME_BYTES_MAX} are kept")),
        _ if name.contains(char::is_control) => Err(format!("the name {name:?} holds a control character")),
        _ => Ok(()),
    }
}

fn check_uri(uri: &str) -> Result<(), String> {
    check_name(uri)?;
    let scheme = uri.split_once(':').filter(|(_, rest)| !rest.is_empty()).map(|(scheme, _)| scheme);
    let is_scheme = scheme.is_some_and(|scheme| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
    });
    if is_scheme {
        Ok(())
    } else {
        Err(format!("`{uri}` is no URI; `producer` and `schemaURL` are, as in https://…"))
    }
}

/// A moment in RFC 3339. One without an offset, as many producers write it, is read as UTC.
#[derive(Debug)]
pub struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = text.parse::<Timestamp>().or_else(|error| in_utc(&text).ok_or(error));
        parsed.map(Self).map_err(|error| {
            D::Error::custom(format!("`{text}` is no time in RFC 3339, as 2026-01-31T12:00:00Z: {error}"))
        })
    }
}

/// The moment that a clock in UTC shows; none of a day without an hour.
fn in_utc(text: &str) -> Option<Timestamp> {
    let clock = text.contains(['T', 't', ' ']).then(|| text.parse::<DateTime>().ok()).flatten()?;
    clock.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Datasets on one side of a job; none when they are null.
#[derive(Debug, Default)]
pub struct Datasets(Vec<Dataset>);

impl<'de> Deserialize<'de> for Datasets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let datasets = Option::<Vec<Dataset>>::deserialize(deserializer)?.unwrap_or_default();
        if datasets.len() > DATASETS_MAX {
            let words = format!("an event names {} datasets on one side; {DATASETS_MAX} are taken", datasets.len());
            return Err(D::Error::custom(words));
        }
        Ok(Self(datasets))
    }
}

impl JsonSchema for Datasets {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Datasets".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<Option<Vec<Dataset>>>();
        schema.insert("maxItems".into(), DATASETS_MAX.into());
        schema
    }
}

impl Event {
    /// What it says, in the words of the layer that keeps it.
    fn observed(self) -> Observed {
        match self {
            Self::Run(event) => Observed {
                at: event.event_time.0,
                producer: event.producer.0,
                event_type: event.event_type.map(|kind| format!("{kind:?}").to_uppercase()),
                run: Some(event.run.run_id.to_string()),
                job: Some((event.job.namespace.0, event.job.name.0)),
                inputs: observed(event.inputs),
                outputs: observed(event.outputs),
            },
            Self::Dataset(event) => Observed {
                at: event.event_time.0,
                producer: event.producer.0,
                event_type: None,
                run: None,
                job: None,
                inputs: vec![],
                outputs: observed(Datasets(vec![event.dataset])),
            },
            Self::Job(event) => Observed {
                at: event.event_time.0,
                producer: event.producer.0,
                event_type: None,
                run: None,
                job: Some((event.job.namespace.0, event.job.name.0)),
                inputs: observed(event.inputs),
                outputs: observed(event.outputs),
            },
        }
    }
}

fn observed(datasets: Datasets) -> Vec<ObservedDataset> {
    let seen = |dataset: Dataset| ObservedDataset {
        version: dataset
            .facets
            .as_ref()
            .and_then(|facets| facets.get("version")?.get("datasetVersion")?.as_str().map(Into::into)),
        symlinks: dataset.facets.as_ref().map(symlinks).unwrap_or_default(),
        namespace: dataset.namespace.0,
        name: dataset.name.0,
    };
    datasets.0.into_iter().map(seen).collect()
}

/// The other names of a dataset, namespace and name; what is no name is left out.
fn symlinks(facets: &Map<String, Value>) -> Vec<(String, String)> {
    let identifiers = facets.get("symlinks").and_then(|facet| facet.get("identifiers")?.as_array());
    let text = |identifier: &Value, key: &str| {
        let text = identifier.get(key)?.as_str()?;
        check_name(text).ok().map(|()| text.to_owned())
    };
    let named = |identifier: &Value| Some((text(identifier, "namespace")?, text(identifier, "name")?));
    identifiers.into_iter().flatten().filter_map(named).take(SYMLINKS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run_event() -> Value {
        json!({
            "eventType": "COMPLETE",
            "eventTime": "2026-01-31T12:00:00.000Z",
            "producer": "https://example.com/etl",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": { "runId": "01890f3c-7b3a-7cc3-98c4-dc0c0c07398f" },
            "job": { "namespace": "airflow", "name": "load" },
            "inputs": [{
                "namespace": "postgres://db:5432",
                "name": "shop.public.orders",
                "facets": { "version": { "datasetVersion": "7" }, "anything": [1, 2] },
            }],
        })
    }

    #[test]
    fn a_run_event_is_read_with_its_versions() {
        let Received { observed, id } = serde_json::from_value(run_event()).unwrap();

        assert_eq!(observed.event_type.as_deref(), Some("COMPLETE"));
        assert_eq!(observed.job, Some(("airflow".into(), "load".into())));
        assert_eq!(observed.inputs[0].version.as_deref(), Some("7"));
        assert_eq!(id, identifier(run_event()));
    }

    #[test]
    fn a_moment_without_an_offset_is_in_utc() {
        let at = |text: &str| {
            let mut event = run_event();
            event["eventTime"] = text.into();
            serde_json::from_value::<Received>(event).map(|received| received.observed.at.to_string())
        };

        assert_eq!(at("2026-01-31T12:00:00").unwrap(), "2026-01-31T12:00:00Z");
        assert_eq!(at("2026-01-31 12:00:00.5").unwrap(), "2026-01-31T12:00:00.5Z");
        assert_eq!(at("2026-01-31T12:00:00+02:00").unwrap(), "2026-01-31T10:00:00Z");
        assert!(at("2026-01-31").unwrap_err().to_string().contains("RFC 3339"));
    }

    #[test]
    fn the_other_names_of_a_dataset_are_read() {
        let mut event = run_event();
        event["inputs"][0]["facets"]["symlinks"] = json!({ "identifiers": [
            { "namespace": "file", "name": "/lake/sources/orders", "type": "LOCATION" },
            { "namespace": "file", "name": "" },
            { "name": "orders" },
        ] });
        let Received { observed, .. } = serde_json::from_value(event).unwrap();

        assert_eq!(observed.inputs[0].symlinks, vec![("file".to_owned(), "/lake/sources/orders".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_said_of_the_event_that_was_meant() {
        let broken = |path: &str, value: Value| {
            let mut event = run_event();
            *event.pointer_mut(path).unwrap() = value;
            serde_json::from_value::<Received>(event).unwrap_err().to_string()
        };
        for (path, value, words) in [
            ("/eventTime", json!("yesterday"), "RFC 3339"),
            ("/eventType", json!("DONE"), "unknown variant `DONE`"),
            ("/run", json!({}), "missing field `runId`"),
            ("/run/runId", json!("42"), "UUID"),
            ("/job/name", json!(""), "empty"),
            ("/producer", json!("me"), "no URI"),
            ("/job/name", json!("a\u{85}b"), "control character"),
            ("/inputs", json!("orders"), "expected a sequence"),
            ("/inputs/0/name", json!("n".repeat(NAME_BYTES_MAX + 1)), "1000 are kept"),
        ] {
            let error = broken(path, value);
            assert!(error.contains(words), "{path}: {error}");
        }
        let nothing = serde_json::from_value::<Received>(json!({ "eventTime": "2026-01-31T12:00:00Z" })).unwrap_err();
        assert!(nothing.to_string().contains("`run` and `job`"), "{nothing}");
    }

    #[test]
    fn each_event_of_a_batch_is_read_for_itself() {
        let mut broken = run_event();
        broken["inputs"][0]["name"] = json!("");
        let list = json!([run_event(), broken, 7, { "eventTime": "2026-01-31T12:00:00Z" }, run_event()]);

        let batch: Batch = serde_json::from_value(list).unwrap();

        let [Ok(first), Err(empty), Err(number), Err(nothing), Ok(last)] = batch.events.as_slice() else {
            panic!("{batch:?}")
        };
        assert_eq!(first.id, last.id);
        assert!(empty.contains("inputs[0].name") && empty.contains("empty"), "{empty}");
        assert!(number.contains("`run` and `job`") && nothing == number, "{number}");
    }

    #[test]
    fn a_batch_is_a_list_of_no_more_events_than_are_taken_at_once() {
        let of = |count: usize| serde_json::from_value::<Batch>(vec![run_event(); count].into());

        assert_eq!(of(EVENTS_MAX).unwrap().events.len(), EVENTS_MAX);
        assert!(of(EVENTS_MAX + 1).unwrap_err().to_string().contains("send them in parts"));
        let object = serde_json::from_value::<Batch>(run_event()).unwrap_err().to_string();
        assert!(object.contains("expected a list of events"), "{object}");
    }
}
