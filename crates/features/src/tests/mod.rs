//! Tests over several modules.

mod crash;
mod oracle;
mod push;
mod shop;
mod world;
