//! Tests over several modules.

mod crash;
mod oracle;
mod push;
mod world;
