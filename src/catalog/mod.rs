//! What a client sees: domains as schemas, data products as tables, `pg_catalog`, `information_schema`, and the system functions.
//!
//! One [`SessionCatalog`] shows one principal one snapshot. INVARIANT: what the principal may not discover is not there;
//! nothing is opened while names are listed; no statement over user data is rewritten by `system`.
//! Who may read which rows is not decided here: the [`Opener`] hands out tables that are governed.

mod acl;
mod content;
mod facts;
pub mod functions;
pub mod mesh;
mod oids;
mod relations;
pub mod resolution;
mod row_types;
mod rows;
mod schemas;
mod statics;
pub mod system;
mod table;
mod types;

pub use facts::{Connection, Discover, Encryption, Held, OpenCursor, PreparedStatement, SessionFacts, Setting, Settings, View};
pub use functions::quote_ident;
pub use oids::{Oids, name_oid, table_oid};
pub use schemas::{ExtraSchema, Opener, SessionCatalog};
pub use statics::{Signature, overloads};
pub use system::PgTypePlanner;
pub(crate) use system::folded;
pub use table::SystemTable;
pub(crate) use types::numeric_typmod;
pub use types::{PgType, TYPE_KEY, TYPMOD_KEY, catalog_origin};

/// Whether PostgreSQL has a function of that name, whatever is done with it here.
pub fn is_postgres_function(name: &str) -> bool {
    statics::function_oid(name).is_some()
}

/// Whether PostgreSQL has an aggregate of that name, whatever is done with it here.
pub fn is_postgres_aggregate(name: &str) -> bool {
    statics::is_aggregate(name)
}

/// Whether a word of PostgreSQL's grammar is never a name, nor any other text, without quotes.
pub fn is_reserved(word: &str) -> bool {
    content::functions::is_reserved(word)
}

/// Whether such an aggregate is told of a row that is not there: `rank(2) WITHIN GROUP (ORDER BY x)`. Without the order, its name is that of a
/// window.
pub fn is_hypothetical(name: &str) -> bool {
    matches!(name, "rank" | "dense_rank" | "percent_rank" | "cume_dist")
}

/// What the functions of PostgreSQL of that name take that take so many arguments: the OIDs of their types.
pub fn signatures(name: &str, arguments: usize) -> impl Iterator<Item = &'static [u32]> {
    statics::signatures(name).iter().copied().filter(move |takes| takes.len() == arguments)
}

#[cfg(test)]
pub(crate) mod tests;
