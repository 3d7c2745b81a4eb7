//! Whole rows of tables are described by the type of the table's rows.

use super::world::*;
use crate::engine::Reply;

#[tokio::test]
async fn a_row_of_all_columns_has_its_table_s_type() {
    let world = TestWorld::new();
    let mut session = world.session("reader", &["pii_authorized"]);
    let known = "SELECT t.oid::int8::text || ' ' || c.oid::int8::text FROM pg_class c JOIN pg_type t ON t.oid = c.reltype AND t.typrelid = c.oid \
                 WHERE c.relname = 'people'";
    let known = session.rows(known).await.unwrap().remove(0);
    let record = "2249 0".to_owned();
    for (text, expected) in [
        ("SELECT p FROM crm.people p", &known),
        ("SELECT x.p FROM (SELECT p FROM crm.people p) x ORDER BY 1 LIMIT 1", &known),
        ("SELECT p FROM crm.people q LEFT JOIN crm.people p ON p.id = q.id + 1", &known),
        ("SELECT row(p.id, p.full_name) FROM crm.people p", &record),
        ("SELECT p FROM (SELECT id, tier FROM crm.people) p", &record),
    ] {
        let statements = session.session.parse(text).await.unwrap();
        let Reply::Rows(rows) = session.session.run(&statements[0]).await.unwrap() else { panic!("no rows: {text}") };
        let column = rows.columns.first().cloned().unwrap();
        drop(rows);
        session.session.sync();
        assert_eq!((format!("{} {}", column.pg_type.oid, column.table_oid), column.number), (expected.clone(), 0), "{text}");
    }
}
