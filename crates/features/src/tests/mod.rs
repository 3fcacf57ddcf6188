//! Tests over several modules.

mod crash;
mod oracle;
mod world;
