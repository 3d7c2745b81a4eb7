//! Object identifiers: stable over restarts and replicas, because they come from names.
//!
//! INVARIANT: two names of one snapshot never share an OID; on a collision the later name in sorted order moves on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sha2::{Digest, Sha256};

use crate::locator::{Snapshot, TableEntry};

/// PostgreSQL gives OIDs from here on to what users make.
const FIRST_USER_OID: u32 = 16_384;
/// Drivers that read OIDs as signed integers stay safe below this.
const LAST_OID: u32 = 0x7fff_fffe;

/// The OID that a name has when nothing collides.
pub fn name_oid(kind: &str, schema: &str, name: &str) -> u32 {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(schema).chain_update([0]).chain_update(name).finalize();
    let number = digest.iter().take(4).fold(0u32, |number, byte| (number << 8) | u32::from(*byte));
    FIRST_USER_OID + number % (LAST_OID - FIRST_USER_OID)
}

/// The OID of a table when nothing collides; within a snapshot ask [`Oids::table`].
pub fn table_oid(schema: &str, table: &str) -> u32 {
    name_oid("table", schema, table)
}

/// The OIDs of one snapshot.
#[derive(Debug, Default)]
pub struct Oids {
    objects: BTreeMap<(&'static str, String, String), u32>,
}

/// The OIDs of snapshots that are still in use; a reload adds one, so there are few.
static KNOWN: Mutex<Vec<(Weak<Snapshot>, Arc<Oids>)>> = Mutex::new(Vec::new());

impl Oids {
    /// The OIDs of a snapshot, made once for all its statements.
    pub fn of(snapshot: &Arc<Snapshot>) -> Arc<Self> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(snapshot, _)| snapshot.strong_count() > 0);
        if let Some((_, oids)) = known.iter().find(|(other, _)| std::ptr::eq(other.as_ptr(), Arc::as_ptr(snapshot))) {
            return Arc::clone(oids);
        }
        let oids = Arc::new(Self::new(snapshot));
        known.push((Arc::downgrade(snapshot), Arc::clone(&oids)));
        oids
    }

    /// Names every domain, table and key of the snapshot.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut oids = Oids::default();
        let mut used = BTreeSet::new();
        let schemas = snapshot.domains().map(|domain| ("schema", String::new(), domain.schema.clone()));
        let tables = snapshot.tables().flat_map(|entry| {
            ["table", "index", "constraint", "type", "type of arrays"].map(|kind| (kind, entry.schema.clone(), entry.table.clone()))
        });
        let names: BTreeSet<_> = schemas.chain(tables).collect();
        for (kind, schema, name) in names {
            let mut oid = name_oid(kind, &schema, &name);
            while !used.insert(oid) {
                oid = if oid >= LAST_OID { FIRST_USER_OID } else { oid + 1 };
            }
            oids.objects.insert((kind, schema, name), oid);
        }
        oids
    }

    /// A domain's OID.
    pub fn schema(&self, schema: &str) -> u32 {
        self.object("schema", "", schema)
    }

    /// A table's OID; an alias has the OID of the listed name that it stands for.
    pub fn table(&self, snapshot: &Snapshot, entry: &TableEntry) -> u32 {
        self.object("table", &entry.schema, &listed_name(snapshot, entry))
    }

    /// The OID of a table's primary key index.
    pub fn index(&self, schema: &str, table: &str) -> u32 {
        self.object("index", schema, table)
    }

    /// The OID of a table's primary key constraint.
    pub fn constraint(&self, schema: &str, table: &str) -> u32 {
        self.object("constraint", schema, table)
    }

    /// The OID of the type of a table's rows.
    pub fn row_type(&self, schema: &str, table: &str) -> u32 {
        self.object("type", schema, table)
    }

    /// The OID of the type of arrays of a table's rows.
    pub fn array_type(&self, schema: &str, table: &str) -> u32 {
        self.object("type of arrays", schema, table)
    }

    fn object(&self, kind: &'static str, schema: &str, name: &str) -> u32 {
        let key = (kind, schema.to_owned(), name.to_owned());
        self.objects.get(&key).copied().unwrap_or_else(|| name_oid(kind, schema, name))
    }
}

fn listed_name(snapshot: &Snapshot, entry: &TableEntry) -> String {
    if entry.listed {
        return entry.table.clone();
    }
    let same = |other: &&TableEntry| {
        other.listed
            && other.schema == entry.schema
            && other.located.product.reference == entry.located.product.reference
            && other.located.port == entry.located.port
    };
    snapshot.tables().find(same).unwrap_or(entry).table.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oid_depends_on_the_name_alone_and_is_a_users() {
        assert_eq!(table_oid("customer", "customer_360"), table_oid("customer", "customer_360"));
        assert_ne!(table_oid("customer", "customer_360"), table_oid("payments", "customer_360"));
        assert!(table_oid("a", "b") >= FIRST_USER_OID);
    }

    #[test]
    fn names_are_not_run_together() {
        assert_ne!(name_oid("table", "ab", "c"), name_oid("table", "a", "bc"));
    }
}
