//! Names → places: which product and which output port answer a name, in one consistent view.

mod snapshot;

pub use snapshot::{Domain, Located, Snapshot, TableEntry};
