//! Errors as MLflow writes them: `{"error_code": NAME, "message": TEXT}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::{Problem, challenged};

/// What kind of error, by MLflow's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// A parameter breaks a rule.
    InvalidParameterValue,
    /// The request as such cannot be read.
    BadRequest,
    /// The name is taken.
    ResourceAlreadyExists,
    /// There is no such thing.
    ResourceDoesNotExist,
    /// There is no such path.
    EndpointNotFound,
    /// Somebody else changed it meanwhile.
    ResourceConflict,
    /// The caller may not.
    PermissionDenied,
    /// The caller did not say who they are.
    Unauthenticated,
    /// Too much at once.
    RequestLimitExceeded,
    /// We do not have it.
    NotImplemented,
    /// Not now.
    TemporarilyUnavailable,
    /// Ours.
    InternalError,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::BadRequest => "BAD_REQUEST",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Self::ResourceConflict => "RESOURCE_CONFLICT",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::RequestLimitExceeded => "REQUEST_LIMIT_EXCEEDED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameterValue | Self::BadRequest | Self::ResourceAlreadyExists => StatusCode::BAD_REQUEST,
            Self::ResourceDoesNotExist | Self::EndpointNotFound => StatusCode::NOT_FOUND,
            Self::ResourceConflict => StatusCode::CONFLICT,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::RequestLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The result of a handler of this face.
pub(super) type Result<T, E = Refused> = std::result::Result<T, E>;

/// An error on its way to the caller.
#[derive(Debug)]
pub(super) struct Refused {
    code: Code,
    status: StatusCode,
    message: String,
}

impl Refused {
    /// An error with the status that MLflow gives its code.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into() }
    }

    /// An error of the transport, whose status says more than MLflow's code for it.
    pub(super) fn with_status(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into() }
    }

    /// A parameter breaks a rule.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// A required parameter is not there, or empty.
    pub(super) fn missing(parameter: &str) -> Self {
        Self::invalid(format!(
            "Missing value for required parameter '{parameter}'. See the API docs for more information about request \
             parameters."
        ))
    }

    /// A parameter is there and wrong.
    pub(super) fn bad_value(parameter: &str, value: &serde_json::Value, why: impl std::fmt::Display) -> Self {
        /// Longer values are cut: the message is for a person.
        const SHOWN_CHARS: usize = 200;
        let shown: String = value.to_string().chars().take(SHOWN_CHARS).collect();
        Self::invalid(format!("Invalid value {shown} for parameter '{parameter}' supplied: {why}"))
    }

    /// There is no such thing.
    pub(super) fn no_such(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceDoesNotExist, message)
    }

    /// The name is taken.
    pub(super) fn taken(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceAlreadyExists, message)
    }

    /// Something of ours failed: logged here, and named to the caller by its trace id.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        Problem::internal(error).into()
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let code = match problem.status {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND => Code::ResourceDoesNotExist,
            StatusCode::CONFLICT => Code::ResourceConflict,
            StatusCode::TOO_MANY_REQUESTS => Code::RequestLimitExceeded,
            StatusCode::SERVICE_UNAVAILABLE => Code::TemporarilyUnavailable,
            status if status.is_server_error() => Code::InternalError,
            _ => Code::BadRequest,
        };
        let message = match problem.trace_id {
            Some(trace_id) => format!("{} (trace {trace_id})", problem.detail),
            None => problem.detail,
        };
        Self { code, status: problem.status, message }
    }
}

impl From<mainspring_catalog::Error> for Refused {
    fn from(error: mainspring_catalog::Error) -> Self {
        mainspring_registry::Error::from(error).into()
    }
}

impl From<mainspring_registry::Error> for Refused {
    fn from(error: mainspring_registry::Error) -> Self {
        use mainspring_govern::VaultError;
        use mainspring_registry::Error;
        let code = match &error {
            Error::NoRun(id) => return Self::no_such(format!("Run with id={id} not found")),
            Error::NoModel(name) => return Self::no_such(format!("Registered Model with name={name} not found")),
            Error::NoVersion { model, version, .. } => {
                return Self::no_such(format!("Model Version (name={model}, version={version}) not found"));
            }
            Error::NoAlias { .. }
            | Error::NoFile(_)
            | Error::NoLoggedModel(_)
            | Error::NoLoggedModelTag { .. }
            | Error::NoWebhook(_)
            | Error::NoEndpoint(_) => Code::ResourceDoesNotExist,
            Error::ModelExists(_) => Code::ResourceAlreadyExists,
            Error::ModelName { .. }
            | Error::Stage(_)
            | Error::Declared { .. }
            | Error::Followed { .. }
            | Error::Source { .. }
            | Error::NotServable { .. }
            | Error::LoggedModel(_)
            | Error::Remark(_)
            | Error::Webhook(_)
            | Error::FilePath(_)
            | Error::TooManyFiles { .. }
            | Error::EndpointName { .. }
            | Error::EndpointDeclared(_) => Code::InvalidParameterValue,
            Error::Upload { .. } => Code::BadRequest,
            Error::UploadsFull { .. } => Code::RequestLimitExceeded,
            Error::Contended(_) => Code::ResourceConflict,
            // the server lacks a key, and lacks it until it is started anew: the nearest that clients do not retry
            Error::Secret(VaultError::NotSet { .. } | VaultError::NoKeyFits { .. } | VaultError::Form { .. }) => {
                Code::ResourceConflict
            }
            Error::RunEnded { .. }
            | Error::AliasName(_)
            | Error::NothingBefore { .. }
            | Error::NeverLive { .. }
            | Error::TooLarge { .. }
            | Error::NotAModel { .. }
            | Error::NotAHash(_) => Code::InvalidParameterValue,
            Error::NoExperiment(id) => return Self::no_such(format!("No Experiment with id={id} exists")),
            Error::ExperimentTaken(name) => {
                return Self::taken(format!(
                    "Experiment(name={name}) already exists. Error: it may be a deleted one; restore it or choose \
                     another name."
                ));
            }
            Error::ExperimentStage { name, must } => {
                let is = if *must == "active" { "deleted" } else { "active" };
                return Self::invalid(format!(
                    "The experiment '{name}' must be in the '{must}' state. Current state is {is}."
                ));
            }
            Error::RunDeleted(id) => {
                return Self::invalid(format!("The run {id} must be in the 'active' state. Current state is deleted."));
            }
            Error::ParamChanged { run, key, before, value } => {
                return Self::invalid(format!(
                    "Changing param values is not allowed. Param with key='{key}' was already logged with \
                     value='{before}' for run ID='{run}'. Attempted logging new value '{value}'."
                ));
            }
            Error::NoTag { .. } => Code::ResourceDoesNotExist,
            Error::TrainersRun(_) | Error::Pattern { .. } => Code::InvalidParameterValue,
            Error::Busy(_) => Code::ResourceConflict,
            Error::NotTracking => Code::TemporarilyUnavailable,
            // MLflow has no gates: the nearest that its clients do not retry
            Error::Refused(_) => Code::PermissionDenied,
            Error::Raced { .. } => Code::ResourceConflict,
            Error::Catalog(inner) if inner.is_conflict() => Code::ResourceConflict,
            Error::Catalog(mainspring_catalog::Error::Invalid { .. }) => Code::InvalidParameterValue,
            Error::ArtifactMissing { .. }
            | Error::ArtifactAltered { .. }
            | Error::Io { .. }
            | Error::Points { .. }
            | Error::Files { .. }
            | Error::FileRoot { .. }
            | Error::Catalog(_)
            | Error::Secret(_)
            | Error::Json(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.code.name(), "message": self.message });
        challenged((self.status, Json(body)).into_response())
    }
}
