//! The protocol over gRPC: `inference.GRPCInferenceService`.

mod contents;
mod read;
mod service;
mod write;

/// What the definition in `proto/` compiles to.
mod proto {
    #![allow(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated from the definition, where the documentation is"
    )]
    tonic::include_proto!("inference");
}

pub(crate) use service::{DEFINITION, INFER, SERVICE, infer_at_once, service};
