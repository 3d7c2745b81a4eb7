//! meshgate: one Postgres endpoint over the data products of a mesh.
//!
//! The modules and the direction of their dependencies are described in `ARCHITECTURE.md` and held as code by `tidy`.

pub mod audit;
pub mod catalog;
pub mod config;
pub mod document;
pub mod enforcement;
pub mod engine;
pub mod error;
pub mod export;
pub mod identity;
pub mod lineage;
pub mod locator;
pub mod policy;
pub mod ports;
pub mod product;
pub mod server;
pub mod source;
pub mod telemetry;
pub mod wire;

#[cfg(test)]
mod tidy;
