//! The types of the rows of tables and views, and of arrays of them: one pair for each that the principal may discover.
//!
//! INVARIANT: a type tells of its table, so what hides the table hides the type.

use super::facts::{SessionFacts, Table};
use super::functions::quote_ident;
use super::functions::split_identifier;
use super::rows::Value;
use super::statics;

/// A type over the rows of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowType<'a> {
    /// The table.
    pub(crate) table: &'a Table,
    /// Whether it is the type of arrays of rows.
    pub(crate) array: bool,
}

impl RowType<'_> {
    /// `pg_type.typname`.
    pub(crate) fn name(&self) -> String {
        if self.array { format!("_{}", self.table.name) } else { self.table.name.clone() }
    }

    /// As SQL writes it, with its schema.
    pub(crate) fn qualified(&self) -> String {
        self.ended(format!("{}.{}", quote_ident(&self.table.schema), quote_ident(&self.table.name)))
    }

    fn ended(&self, mut name: String) -> String {
        if self.array {
            name.push_str("[]");
        }
        name
    }

    fn oid(&self) -> u32 {
        if self.array { self.table.array_type_oid } else { self.table.type_oid }
    }

    /// Its row of `pg_type`.
    fn described(&self) -> Vec<(&'static str, Value)> {
        let function = |name: &str| Value::from(statics::function_oid(name).unwrap_or(0));
        let mut row: Vec<(&'static str, Value)> = vec![
            ("oid", self.oid().into()),
            ("typname", self.name().into()),
            ("typnamespace", self.table.schema_oid.into()),
            ("typowner", self.table.owner_oid.into()),
            ("typlen", (-1i64).into()),
            ("typisdefined", true.into()),
            ("typdelim", ",".into()),
            ("typalign", "d".into()),
            ("typstorage", "x".into()),
            ("typtypmod", (-1i64).into()),
        ];
        let functions = if self.array {
            row.extend([
                ("typtype", "b".into()),
                ("typcategory", "A".into()),
                ("typelem", self.table.type_oid.into()),
                ("typsubscript", function("array_subscript_handler")),
                ("typanalyze", function("array_typanalyze")),
            ]);
            ["array_in", "array_out", "array_recv", "array_send"]
        } else {
            row.extend([
                ("typtype", "c".into()),
                ("typcategory", "C".into()),
                ("typrelid", self.table.oid.into()),
                ("typarray", self.table.array_type_oid.into()),
            ]);
            ["record_in", "record_out", "record_recv", "record_send"]
        };
        let columns = ["typinput", "typoutput", "typreceive", "typsend"];
        row.extend(columns.into_iter().zip(functions).map(|(column, name)| (column, function(name))));
        row
    }
}

/// The rows of `pg_type` that only this principal has.
pub(crate) fn rows(facts: &SessionFacts) -> Vec<Vec<(&'static str, Value)>> {
    let both = |table| [false, true].map(|array| RowType { table, array }.described());
    facts.view().tables.iter().flat_map(both).collect()
}

impl SessionFacts {
    /// The OID of the type of a table's rows.
    pub fn row_type_of(&self, table: u32) -> Option<u32> {
        self.table(table).map(|table| table.type_oid)
    }

    /// The type over rows with that OID.
    pub(crate) fn row_type(&self, oid: u32) -> Option<RowType<'_>> {
        let tables = self.view().tables.iter();
        let table = tables.into_iter().find(|table| table.type_oid == oid || table.array_type_oid == oid)?;
        Some(RowType { table, array: table.array_type_oid == oid })
    }

    /// The OID of a type over rows by its name; without a schema along the search path.
    pub(crate) fn row_type_oid(&self, name: &str) -> Option<u32> {
        let (plain, array) = name.trim().strip_suffix("[]").map_or((name, false), |plain| (plain, true));
        let mut parts = split_identifier(plain)?;
        let (last, schema) = (parts.pop()?, parts.pop());
        let path = schema.map_or_else(|| self.search_path(), |schema| vec![schema]);
        let of = |schema: &String, name: &str| self.view().tables.iter().find(|table| table.schema == *schema && table.name == name);
        path.iter().find_map(|schema| match (of(schema, &last), last.strip_prefix('_').and_then(|element| of(schema, element))) {
            (Some(table), _) => Some(RowType { table, array }.oid()),
            (None, Some(table)) if !array => Some(table.array_type_oid),
            _ => None,
        })
    }

    /// A type over rows as it is shown: with its schema unless it is found without.
    pub(crate) fn row_type_shown(&self, oid: u32) -> Option<String> {
        let found = self.row_type(oid)?;
        let bare = self.row_type_visible(oid)?;
        Some(if bare { found.ended(quote_ident(&found.table.name)) } else { found.qualified() })
    }

    /// Whether a type over rows is found by its bare name.
    pub(crate) fn row_type_visible(&self, oid: u32) -> Option<bool> {
        let found = self.row_type(oid)?;
        let first = self.type_oid(&quote_ident(&found.table.name));
        Some(first == Some(found.table.type_oid))
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::tests::fixture;
    use crate::catalog::{Oids, name_oid};

    #[test]
    fn a_table_has_a_type_and_one_of_arrays() {
        let facts = fixture::facts();
        let rows = facts.type_oid("customer.customer_360").unwrap();
        assert_eq!(facts.row_type_shown(rows).as_deref(), Some("customer.customer_360"));
        for name in ["customer.customer_360[]", "customer._customer_360"] {
            let array = facts.type_oid(name).unwrap();
            assert_eq!(facts.row_type_shown(array).as_deref(), Some("customer.customer_360[]"), "{name}");
        }
        assert_eq!((facts.type_oid("customer_360"), facts.row_type_visible(rows)), (None, Some(false)));
        assert_eq!(facts.row_type(23).map(|found| found.name()), None);
    }

    #[test]
    fn a_hidden_table_has_no_type_that_one_sees() {
        let facts = fixture::facts();
        let hidden = Oids::of(&facts.snapshot).row_type("payments", "hidden_ledger");
        assert_eq!(hidden, name_oid("type", "payments", "hidden_ledger"));
        assert!(facts.type_oid("payments.hidden_ledger").is_none() && facts.row_type(hidden).is_none());
        assert!(facts.type_oid("payments.transactions").is_some());
    }
}
