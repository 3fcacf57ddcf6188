//! The registry's messages, with the fields that are needed (`feast/core/Registry.proto` of Feast 0.67 and what it names).

use std::collections::HashMap;

use prost::Message;

/// The registry: everything that `feast apply` knows of.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Registry {
    #[prost(message, repeated, tag = "1")]
    pub entities: Vec<Entity>,
    #[prost(message, repeated, tag = "6")]
    pub feature_views: Vec<FeatureView>,
    #[prost(message, repeated, tag = "7")]
    pub feature_services: Vec<FeatureService>,
    #[prost(message, repeated, tag = "8")]
    pub on_demand_feature_views: Vec<Named>,
    #[prost(message, repeated, tag = "11")]
    pub saved_datasets: Vec<Named>,
    #[prost(message, repeated, tag = "14")]
    pub stream_feature_views: Vec<Named>,
    #[prost(message, repeated, tag = "16")]
    pub permissions: Vec<Named>,
    #[prost(message, repeated, tag = "19")]
    pub label_views: Vec<Named>,
}

/// Any object of which only the name is told.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(message, optional, tag = "1")]
    pub spec: Option<NamedSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedSpec {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub project: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entity {
    #[prost(message, optional, tag = "1")]
    pub spec: Option<EntitySpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EntitySpec {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub value_type: i32,
    #[prost(string, tag = "3")]
    pub description: String,
    #[prost(string, tag = "4")]
    pub join_key: String,
    #[prost(string, tag = "9")]
    pub project: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Field {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub value_type: i32,
    #[prost(string, tag = "4")]
    pub description: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureView {
    #[prost(message, optional, tag = "1")]
    pub spec: Option<FeatureViewSpec>,
    #[prost(message, optional, tag = "2")]
    pub meta: Option<FeatureViewMeta>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureViewMeta {
    #[prost(int32, tag = "4")]
    pub current_version_number: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureViewSpec {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub project: String,
    #[prost(string, repeated, tag = "3")]
    pub entities: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub features: Vec<Field>,
    #[prost(message, optional, tag = "6")]
    pub ttl: Option<Duration>,
    #[prost(message, optional, tag = "7")]
    pub batch_source: Option<DataSource>,
    #[prost(bool, tag = "8")]
    pub online: bool,
    #[prost(message, optional, tag = "9")]
    pub stream_source: Option<DataSource>,
    #[prost(string, tag = "10")]
    pub description: String,
    #[prost(message, repeated, tag = "12")]
    pub entity_columns: Vec<Field>,
    #[prost(message, repeated, tag = "14")]
    pub source_views: Vec<NamedSpec>,
    #[prost(message, optional, tag = "15")]
    pub feature_transformation: Option<Nothing>,
    #[prost(bool, tag = "20")]
    pub disabled: bool,
}

/// A message whose content does not matter, only that it is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Duration {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DataSource {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(map = "string, string", tag = "2")]
    pub field_mapping: HashMap<String, String>,
    #[prost(string, tag = "3")]
    pub timestamp_field: String,
    #[prost(string, tag = "5")]
    pub created_timestamp_column: String,
    #[prost(message, optional, tag = "11")]
    pub file_options: Option<FileOptions>,
    #[prost(string, tag = "20")]
    pub name: String,
    #[prost(string, tag = "23")]
    pub description: String,
}

/// What [`DataSource::kind`] may be.
pub(super) mod source_kind {
    pub(in super::super) const FILE: i32 = 1;
    pub(in super::super) const PUSH: i32 = 9;

    /// The kind in words.
    pub(in super::super) const fn words(kind: i32) -> &'static str {
        match kind {
            1 => "a file",
            2 => "a BigQuery table",
            3 => "a Kafka stream",
            4 => "a Kinesis stream",
            5 => "a Redshift table",
            6 => "a source of a class of its own",
            7 => "request data",
            8 => "a Snowflake table",
            9 => "a push source",
            10 => "a Trino table",
            11 => "a Spark table",
            12 => "an Athena table",
            13 => "an Iceberg table",
            _ => "a source of an unknown kind",
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileOptions {
    #[prost(message, optional, tag = "1")]
    pub file_format: Option<FileFormat>,
    #[prost(string, tag = "2")]
    pub uri: String,
    #[prost(string, tag = "3")]
    pub s3_endpoint_override: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileFormat {
    #[prost(message, optional, tag = "2")]
    pub delta: Option<Nothing>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureService {
    #[prost(message, optional, tag = "1")]
    pub spec: Option<FeatureServiceSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureServiceSpec {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub project: String,
    #[prost(message, repeated, tag = "3")]
    pub features: Vec<Projection>,
    #[prost(string, tag = "5")]
    pub description: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Projection {
    #[prost(string, tag = "1")]
    pub feature_view_name: String,
    #[prost(message, repeated, tag = "2")]
    pub feature_columns: Vec<Field>,
    #[prost(string, tag = "3")]
    pub feature_view_name_alias: String,
    #[prost(map = "string, string", tag = "4")]
    pub join_key_map: HashMap<String, String>,
    #[prost(int32, optional, tag = "10")]
    pub version_tag: Option<i32>,
}
