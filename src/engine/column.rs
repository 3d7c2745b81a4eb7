//! Result columns in PostgreSQL's terms.

pub use crate::catalog::PgType;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its label.
    pub name: String,
    /// Its type.
    pub pg_type: PgType,
    /// OID of the table it comes from unchanged, or 0.
    pub table_oid: u32,
    /// Its number in that table from 1, or 0.
    pub number: i16,
}
