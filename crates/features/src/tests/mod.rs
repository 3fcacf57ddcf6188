//! Tests over several modules.

mod agreement;
mod check;
mod crash;
mod oracle;
mod push;
mod shop;
mod world;
