//! Ready-made questions over the schema's relations, as views.
//!
//! INVARIANT: a view is text of this file and reads relations of this schema only; it is planned into the statement that names it, so that
//! what it reads is observed, decided and recorded like anything else.

use crate::product::OwnRows;

use super::{Described, Relation};

struct View {
    name: &'static str,
    about: &'static str,
    sql: &'static str,
    columns: &'static [Described],
}

const AT: Described = ("at", "timestamptz", "when the statement began");
const DAY: Described = ("day", "date", "the day of that, UTC");
const QUERY_ID: Described = ("query_id", "uuid", "the statement");
const PRINCIPAL: Described = ("principal", "string", "the login");
const DOMAIN: Described = ("domain", "string", "the product's domain");
const PRODUCT: Described = ("product", "string", "the product");
const VERSION: Described = ("version", "string", "its version");
const PORT: Described = ("port", "string", "the output port");
const COLUMN: Described = ("column_name", "string", "the field");
const OWNER: Described = ("owner", "string", "the owning team");

static VIEWS: [View; 6] = [
    View {
        name: "pii_reads",
        about: "who read which field with personal data",
        sql: "SELECT at, day, query_id, principal, domain, product, version, port, column_name, uses, masked, outcome, rows \
              FROM mesh.lineage WHERE pii AND allowed AND statement_class NOT IN ('explain', 'explain_policy')",
        columns: &[
            AT,
            DAY,
            QUERY_ID,
            PRINCIPAL,
            DOMAIN,
            PRODUCT,
            VERSION,
            PORT,
            COLUMN,
            ("uses", "list<string>", "how it was used"),
            ("masked", "boolean", "whether it was delivered masked"),
            ("outcome", "string", "how the statement ended"),
            ("rows", "int64", "rows handed to the connection"),
        ],
    },
    View {
        name: "denials",
        about: "who was denied what, and why",
        sql: "SELECT at, day, query_id, decision_id, principal, purpose, domain, product, version, port, reasons, rules \
              FROM mesh.decisions WHERE outcome = 'deny' AND statement_class <> 'explain_policy'",
        columns: &[
            AT,
            DAY,
            QUERY_ID,
            ("decision_id", "uuid", "the decision"),
            PRINCIPAL,
            ("purpose", "string", "as the client claimed"),
            DOMAIN,
            PRODUCT,
            VERSION,
            PORT,
            ("reasons", "list<string>", "the public reasons"),
            ("rules", "list<string>", "the rules"),
        ],
    },
    View {
        name: "consumers",
        about: "who reads a product, how often, and when last",
        sql: "SELECT domain, product, version, principal, count(DISTINCT query_id) AS statements, min(at) AS first_read, max(at) AS last_read \
              FROM mesh.lineage WHERE allowed AND statement_class NOT IN ('explain', 'explain_policy') \
              GROUP BY domain, product, version, principal",
        columns: &[
            DOMAIN,
            PRODUCT,
            VERSION,
            PRINCIPAL,
            ("statements", "int64", "how many statements"),
            ("first_read", "timestamptz", "the first of them"),
            ("last_read", "timestamptz", "the last of them"),
        ],
    },
    View {
        name: "unused_products",
        about: "products that nobody has read (for who is no auditor: that you have not read)",
        sql: "SELECT p.domain, p.product, p.version, p.owner, p.status FROM mesh.products p WHERE NOT EXISTS \
              (SELECT 1 FROM mesh.lineage l WHERE l.domain = p.domain AND l.product = p.product AND l.version = p.version \
              AND l.allowed AND l.statement_class NOT IN ('explain', 'explain_policy'))",
        columns: &[DOMAIN, PRODUCT, VERSION, OWNER, ("status", "string", "where it stands in its life")],
    },
    View {
        name: "unused_columns",
        about: "columns that nobody has read (for who is no auditor: that you have not read)",
        sql: "SELECT c.domain, c.product, c.version, c.column_name, c.pii FROM mesh.columns c WHERE NOT EXISTS \
              (SELECT 1 FROM mesh.lineage l WHERE l.domain = c.domain AND l.product = c.product AND l.version = c.version \
              AND l.column_name = c.column_name AND l.allowed AND l.statement_class NOT IN ('explain', 'explain_policy'))",
        columns: &[DOMAIN, PRODUCT, VERSION, COLUMN, ("pii", "boolean", "whether it holds personal data")],
    },
    View {
        name: "lineage_gaps",
        about: "where contracts and what was read in the name of their products differ (for who is no auditor: that you have read)",
        sql: LINEAGE_GAPS,
        columns: &[
            ("gap", "string", "undeclared_read, undeclared_field, dead_input or looser_freshness"),
            ("domain", "string", "the domain of the product that is made"),
            ("product", "string", "the product that is made"),
            ("input_domain", "string", "the domain of its input"),
            ("input_product", "string", "its input"),
            COLUMN,
            ("statements", "int64", "how many statements"),
            ("first_read", "timestamptz", "the first of them"),
            ("last_read", "timestamptz", "the last of them"),
        ],
    },
];

/// The same comparison as [`crate::lineage::gaps`]: what contracts declare as lists, one look at the log, and both side by side.
const LINEAGE_GAPS: &str = include_str!("lineage_gaps.sql");

/// The text of a view; `None` if there is none of that name.
pub fn view(name: &str) -> Option<&'static str> {
    VIEWS.iter().find(|view| view.name == name).map(|view| view.sql)
}

/// The views as the schema lists them.
pub(super) fn relations() -> impl Iterator<Item = Relation> {
    VIEWS.iter().map(|view| Relation {
        name: view.name,
        about: view.about,
        port: "view",
        rows: OwnRows::View,
        columns: view.columns.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_looks_at_the_log_once() {
        for view in &VIEWS {
            let looks = view.sql.matches("mesh.lineage").count() + view.sql.matches("mesh.decisions").count();
            assert_eq!(looks, 1, "{}", view.name);
        }
    }
}
