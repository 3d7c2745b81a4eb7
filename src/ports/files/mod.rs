//! Files of a port: where they are, which they are, and their bytes.
//!
//! Everything goes through `object_store`, so that another store is another way to build one and nothing else.
//! INVARIANT: a scan reads each file in the version that it was listed in, or fails; and no store is asked that the configuration does
//! not name.

mod connect;
mod fault;
mod identity;
mod location;
mod partitions;
mod pinned;
mod remote;
mod scan;
mod shared;
mod store;
mod table;
mod unpack;
mod version;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod web;

pub(super) use fault::{StoreFault, find_store_error, tell};
pub(super) use location::FileLocation;
pub(super) use partitions::Partitions;
pub(super) use pinned::Pinned;
pub use remote::{StoreIdentity, StoreOptions};
pub(super) use shared::SharedReads;
pub(super) use store::{Rooted, Stores};
pub(super) use table::{Files, FilesTable, Format, Nulls, Part, Split, Wanted};
pub(super) use unpack::{unpack_whole, unpacked};
pub use version::FileVersion;
