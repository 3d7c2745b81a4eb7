//! Files of a port: where they are, which they are, and their bytes.
//!
//! Everything goes through `object_store`, so that another store is another way to build one and nothing else.

mod location;
mod store;

pub(super) use location::FileLocation;
pub(super) use store::{Rooted, Stores};
