//! Health as gRPC's standard service has it: the server and each service are up as long as they are, and the inference
//! service is serving when one endpoint at least has a model behind it.

use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::services::NAMES;
use crate::app::App;
use crate::faces;

/// How often readiness is looked at; endpoints follow their aliases about as often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Tells how the services are until it is dropped.
pub(super) async fn report(app: App, health: HealthReporter) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        ticks.tick().await;
        let ready = app.serve.is_ready();
        // watchers are told of changes only
        if told != Some(ready) {
            told = Some(ready);
            tell(&health, ready).await;
        }
    }
}

/// Tells how each service is.
pub(super) async fn tell(health: &HealthReporter, endpoints_ready: bool) {
    for name in NAMES {
        health.set_service_status(name, status(*name != faces::oip::SERVICE || endpoints_ready)).await;
    }
}

/// Tells watchers the end, and lets go of them.
pub(super) async fn end(mut health: HealthReporter) {
    for name in NAMES.iter().chain(&[""]) {
        health.set_service_status(name, ServingStatus::NotServing).await;
        health.clear_service_status(name).await;
    }
}

fn status(serving: bool) -> ServingStatus {
    if serving { ServingStatus::Serving } else { ServingStatus::NotServing }
}
