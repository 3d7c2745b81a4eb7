//! What the catalog of a server says of a table.

use std::sync::Arc;

use super::location::TableLocation;
use super::server::{Server, query_error};
use super::types::SourceColumn;
use crate::ports::error::{Error, Place};

/// The type that a domain stands for at last, and its modifier; no row for what is no domain.
macro_rules! base_of {
    ($domain:literal) => {
        concat!(
            "WITH RECURSIVE steps AS (SELECT ",
            $domain,
            ".typbasetype AS oid, ",
            $domain,
            ".typtypmod AS typmod WHERE ",
            $domain,
            ".typtype = 'd' \
             UNION ALL SELECT n.typbasetype, n.typtypmod FROM steps s JOIN pg_catalog.pg_type n ON n.oid = s.oid WHERE n.typtype = 'd') \
             SELECT s.oid, s.typmod FROM steps s JOIN pg_catalog.pg_type n ON n.oid = s.oid WHERE n.typtype <> 'd'"
        )
    };
}

/// The columns of a relation, and about how many rows it has. A domain counts as its base type, and an array of a domain as one of that.
///
/// Pages can be read by ranges from version 14 on, and only of heaps: those of a table, or of all partitions of one.
const DESCRIBE: &str = concat!(
    "\
SELECT a.attname::pg_catalog.text, \
       CASE WHEN e.typtype = 'd' THEN COALESCE(d.typarray, 0) ELSE COALESCE(b.oid, t.oid) END::pg_catalog.int8, \
       CASE WHEN e.typtype = 'd' THEN elements.typmod ELSE COALESCE(base.typmod, a.atttypmod) END, \
       pg_catalog.format_type(a.atttypid, a.atttypmod), COALESCE(b.typtype, t.typtype) = 'e', t.typtype = 'd' OR COALESCE(e.typtype = 'd', false), \
       COALESCE(l.collisdeterministic, true), pg_catalog.current_setting('server_encoding') = 'UTF8', c.tuples::pg_catalog.int8, \
       c.heaps, c.relhassubclass, \
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum), \
       COALESCE(d.typtype, e.typtype) = 'e' IS TRUE, a.attcollation::pg_catalog.int8, \
       c.computed OR COALESCE(pg_catalog.to_jsonb(a) ->> 'attgenerated' = 'v', false) \
FROM (SELECT c.oid, c.relhassubclass, \
             c.relkind IN ('v', 'f') OR pg_catalog.row_security_active(c.oid) OR (c.relhassubclass AND EXISTS \
               (WITH RECURSIVE heirs AS (SELECT c.oid UNION SELECT i.inhrelid FROM heirs h JOIN pg_catalog.pg_inherits i ON i.inhparent = h.oid) \
                SELECT FROM heirs h JOIN pg_catalog.pg_class heir ON heir.oid = h.oid \
                WHERE heir.relkind = 'f' OR EXISTS (SELECT FROM pg_catalog.pg_attribute own \
                                                    WHERE own.attrelid = h.oid AND pg_catalog.to_jsonb(own) ->> 'attgenerated' = 'v'))) AS computed, \
             CASE WHEN c.relkind = 'p' THEN parts.tuples ELSE c.reltuples END AS tuples, \
             CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 140000 THEN NULL \
                  WHEN c.relkind = 'p' THEN parts.heaps \
                  WHEN c.relkind IN ('r', 'm') AND c.relam = 2 THEN ARRAY[COALESCE(pg_catalog.pg_relation_size(c.oid), 0) / b.size] END AS heaps \
      FROM pg_catalog.pg_class c \
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
      CROSS JOIN (SELECT pg_catalog.current_setting('block_size')::pg_catalog.int8 AS size) b \
      LEFT JOIN LATERAL \
        (SELECT CASE WHEN pg_catalog.min(p.reltuples) >= 0 THEN pg_catalog.sum(p.reltuples) END AS tuples, \
                CASE WHEN pg_catalog.bool_and(p.relkind = 'r' AND p.relam = 2) \
                     THEN pg_catalog.array_agg(COALESCE(pg_catalog.pg_relation_size(p.oid), 0) / b.size) END AS heaps \
         FROM pg_catalog.pg_partition_tree(c.oid) tree JOIN pg_catalog.pg_class p ON p.oid = tree.relid \
         WHERE tree.isleaf) parts ON c.relkind = 'p' \
      WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p') OFFSET 0) c \
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
LEFT JOIN LATERAL (",
    base_of!("t"),
    ") base ON true \
LEFT JOIN pg_catalog.pg_type b ON b.oid = base.oid \
LEFT JOIN pg_catalog.pg_type e ON e.oid = NULLIF(COALESCE(b.typelem, t.typelem), 0) \
LEFT JOIN LATERAL (",
    base_of!("e"),
    ") elements ON true \
LEFT JOIN pg_catalog.pg_type d ON d.oid = elements.oid \
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
WHERE a.attnum > 0 AND NOT a.attisdropped \
ORDER BY a.attnum"
);

const OWN_TIMEOUT: &str = "SELECT s.reset_val::pg_catalog.int8 FROM pg_catalog.pg_settings s WHERE s.name = 'statement_timeout'";

/// A table or view.
pub(super) struct Described {
    pub(super) columns: Vec<SourceColumn>,
    pub(super) utf8: bool,
    /// The server's estimate; `None` if the table was never analyzed, or is none.
    pub(super) rows: Option<usize>,
    /// The login's own limit of a statement's time in milliseconds; 0: none.
    pub(super) own_timeout: u64,
    /// The pages of what can be read by ranges of pages: of a table, or of each partition. Nothing of what cannot.
    pub(super) heaps: Vec<u64>,
    /// Expressions are computed when it is read, as its columns or to choose its rows: those of a view, of another server's table, generated ones, be it of
    /// a partition or an heir only, or of a policy of the server's.
    pub(super) computed: bool,
    /// Its rows may lie in several tables.
    pub(super) several: bool,
}

impl Described {
    /// Pages that can be read by ranges.
    pub(super) fn pages(&self) -> u64 {
        self.heaps.iter().sum()
    }

    /// The columns that tell where a row lies; none if its place is not known.
    pub(super) fn places(&self) -> &'static [&'static str] {
        match (self.heaps.is_empty(), self.several) {
            (true, _) => &[],
            (false, true) => &["tableoid", "ctid"],
            (false, false) => &["ctid"],
        }
    }
}

/// Asks for it.
pub(super) async fn describe(at: &Place, server: &Server, location: &TableLocation) -> Result<Described, Error> {
    let rows = server.fetch(at, DESCRIBE, &[&location.schema, &location.table]).await?;
    let Some(first) = rows.first() else { return Err(Error::NoData { at: at.clone(), source: None }) };
    let failed = |e| query_error(at, e);
    let count: Option<i64> = first.try_get(8).map_err(failed)?;
    let heaps: Option<Vec<i64>> = first.try_get(9).map_err(failed)?;
    let mut described = Described {
        columns: Vec::with_capacity(rows.len()),
        utf8: first.try_get(7).map_err(failed)?,
        rows: count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0),
        own_timeout: own_timeout(at, server).await?,
        heaps: heaps.unwrap_or_default().into_iter().map(|pages| u64::try_from(pages).unwrap_or(0)).collect(),
        computed: false,
        several: first.try_get(10).map_err(failed)?,
    };
    let oid = |oid: i64| u32::try_from(oid).map_err(|_| Error::Internal { at: at.clone(), broken: "an OID has more than 32 bits" });
    for row in &rows {
        described.computed |= row.try_get::<_, bool>(14).map_err(failed)?;
        described.columns.push(SourceColumn {
            name: row.try_get(0).map_err(failed)?,
            oid: oid(row.try_get(1).map_err(failed)?)?,
            typmod: row.try_get(2).map_err(failed)?,
            type_name: row.try_get(3).map_err(failed)?,
            is_enum: row.try_get(4).map_err(failed)?,
            is_domain: row.try_get(5).map_err(failed)?,
            deterministic: row.try_get(6).map_err(failed)?,
            indexed: row.try_get(11).map_err(failed)?,
            is_enum_array: row.try_get(12).map_err(failed)?,
            collation: oid(row.try_get(13).map_err(failed)?)?,
        });
    }
    Ok(described)
}

/// The login's own limit of a statement's time. A server lists all of its settings to tell one, so this is kept for longer than a look at a table.
async fn own_timeout(at: &Place, server: &Server) -> Result<u64, Error> {
    if let Some(known) = server.own_timeout.last(&()) {
        return Ok(*known);
    }
    let rows = server.fetch(at, OWN_TIMEOUT, &[]).await?;
    let told: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose().map_err(|e| query_error(at, e))?;
    let timeout = Arc::new(told.and_then(|timeout| u64::try_from(timeout).ok()).unwrap_or(0));
    server.own_timeout.keep(&(), &timeout);
    Ok(*timeout)
}
