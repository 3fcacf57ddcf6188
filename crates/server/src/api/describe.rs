//! How a handler's own types become its description: what it takes, and what it answers.

use std::future::Future;

use axum::extract::State;
use axum::{Extension, Json};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::extract::{Body, List, Path, Query};
use crate::app::App;
use crate::http::{Caller, Problem};

/// Where the document keeps its types.
const COMPONENTS: &str = "/components/schemas";

/// The types of the document: those that are read and those that are written, as serde reads and writes them.
pub struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    /// No types yet.
    pub fn new() -> Self {
        let settings = || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = COMPONENTS.into());
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    /// The schema of something that is read.
    pub fn read<T: JsonSchema>(&mut self) -> Schema {
        self.read.subschema_for::<T>()
    }

    /// The schema of something that is written.
    pub fn written<T: JsonSchema>(&mut self) -> Schema {
        self.written.subschema_for::<T>()
    }

    /// What is read, in full and not by reference.
    fn inline<T: JsonSchema>(&mut self) -> Value {
        T::json_schema(&mut self.read).to_value()
    }

    /// Every type by name. A type that is read and written the same way is there once.
    pub fn into_components(mut self) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        for (name, read) in self.read.take_definitions(true) {
            debug_assert!(all.get(&name).is_none_or(|written| *written == read), "two types are called {name}");
            all.insert(name, read);
        }
        all
    }
}

/// What is said of a route.
#[derive(Debug, Default)]
pub struct Operation {
    /// The names in braces of its path.
    pub in_path: Vec<String>,
    /// The `parameters` of the document.
    pub parameters: Vec<Value>,
    /// The `requestBody` of the document.
    pub body: Option<Value>,
    /// The status and the body of a good answer.
    pub answer: Option<(u16, Value)>,
}

/// Something that a handler takes.
pub trait Takes {
    /// Adds it to the description.
    fn describe(operation: &mut Operation, schemas: &mut Schemas);
}

impl Takes for State<App> {
    fn describe(_operation: &mut Operation, _schemas: &mut Schemas) {}
}

impl Takes for Extension<Caller> {
    fn describe(_operation: &mut Operation, _schemas: &mut Schemas) {}
}

impl<A: Takes, B: Takes> Takes for (A, B) {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        A::describe(operation, schemas);
        B::describe(operation, schemas);
    }
}

impl<T: JsonSchema> Takes for Path<T> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        let schema = schemas.inline::<T>();
        for name in operation.in_path.clone() {
            let of_name = schema.pointer(&format!("/properties/{name}")).unwrap_or(&schema).clone();
            operation.parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": of_name }));
        }
    }
}

impl<T: JsonSchema> Takes for Query<T> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        let schema = schemas.inline::<T>();
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, of_name) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let mut of_name = of_name.clone();
            let description = of_name.as_object_mut().and_then(|fields| fields.remove("description"));
            operation.parameters.push(json!({
                "name": name,
                "in": "query",
                "required": required.iter().any(|known| known == name),
                "description": description.unwrap_or_default(),
                "schema": present(of_name),
            }));
        }
    }
}

/// A parameter that may be left out is not null when it is there.
fn present(mut schema: Value) -> Value {
    if let Some(kinds) = schema.get_mut("type")
        && let Some([kind, _null]) = kinds.as_array().map(Vec::as_slice)
    {
        *kinds = kind.clone();
    }
    schema
}

impl<T: JsonSchema, const BYTES_MAX: usize> Takes for Body<T, BYTES_MAX> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        let schema = schemas.read::<T>();
        operation.body = Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
    }
}

impl<T: JsonSchema, const BYTES_MAX: usize> Takes for List<T, BYTES_MAX> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        Body::<T, BYTES_MAX>::describe(operation, schemas);
    }
}

/// Something that a handler answers.
pub trait Gives {
    /// Adds it to the description.
    fn describe(operation: &mut Operation, schemas: &mut Schemas);
}

/// An answer with a status of its own.
#[derive(Debug)]
pub struct With<const STATUS: u16, T>(pub T);

impl<const STATUS: u16, T: serde::Serialize> axum::response::IntoResponse for With<STATUS, T> {
    fn into_response(self) -> axum::response::Response {
        let mut response = Json(self.0).into_response();
        if let Ok(status) = axum::http::StatusCode::from_u16(STATUS) {
            *response.status_mut() = status;
        }
        response
    }
}

impl<const STATUS: u16, T: JsonSchema> Gives for With<STATUS, T> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        operation.answer = Some((STATUS, json!({ "application/json": { "schema": schemas.written::<T>() } })));
    }
}

impl<T: JsonSchema> Gives for Json<T> {
    fn describe(operation: &mut Operation, schemas: &mut Schemas) {
        With::<200, T>::describe(operation, schemas);
    }
}

/// A handler whose types describe it.
pub trait Described<Parts> {
    /// Adds all it takes and answers to the description.
    fn describe(operation: &mut Operation, schemas: &mut Schemas);
}

macro_rules! described {
    ($($part:ident),+) => {
        impl<F, Answering, Answer, $($part,)+> Described<($($part,)+)> for F
        where
            F: Fn($($part),+) -> Answering,
            Answering: Future<Output = Result<Answer, Problem>>,
            Answer: Gives,
            $($part: Takes,)+
        {
            fn describe(operation: &mut Operation, schemas: &mut Schemas) {
                $($part::describe(operation, schemas);)+
                Answer::describe(operation, schemas);
            }
        }
    };
}

described!(A);
described!(A, B);
described!(A, B, C);
described!(A, B, C, D);
