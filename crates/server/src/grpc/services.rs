//! Every service of the port.

use tonic::service::{Routes, RoutesBuilder};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::app::App;
use crate::faces;

/// The definitions that reflection shows, encoded sets of file descriptors: one for each face.
const DEFINITIONS: &[&[u8]] = &[faces::oip::DEFINITION, tonic_health::pb::FILE_DESCRIPTOR_SET];

/// The names that health is told of; the empty one, for the server as a whole, is always there.
pub(super) const NAMES: &[&str] = &[faces::oip::SERVICE, faces::flight::SERVICE];

/// The routes of all services.
///
/// # Errors
/// When the definitions do not fit together, or a face cannot start.
pub(super) fn services(app: &App, health: HealthReporter) -> std::io::Result<Routes> {
    let reflection = || {
        DEFINITIONS.iter().fold(tonic_reflection::server::Builder::configure(), |builder, definition| {
            builder.register_encoded_file_descriptor_set(definition)
        })
    };
    let mut routes = RoutesBuilder::default();
    routes.add_service(HealthServer::new(HealthService::from_health_reporter(health)));
    routes.add_service(reflection().build_v1().map_err(std::io::Error::other)?);
    routes.add_service(reflection().build_v1alpha().map_err(std::io::Error::other)?);
    routes.add_service(faces::oip::service(app));
    routes.add_service(faces::flight::service(app.clone())?);
    Ok(routes.routes())
}
