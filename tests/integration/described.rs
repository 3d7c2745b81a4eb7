//! What a client is told of a result's columns before there are rows.

use tokio_postgres::types::{FromSql, Type};

use crate::gateway::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_column_has_the_modifier_of_its_product_or_of_its_cast_and_no_other() {
    let gateway = World::quickstart().serve().await;
    let session = gateway.login("analyst").await;
    let numeric = |precision: i32, scale: i32| (precision << 16 | scale) + 4;
    let from = "FROM customer.customer_360";
    for (items, from, modifiers) in [
        // A driver cuts numbers to what the modifier says: a value of other digits has none.
        ("$1::numeric, 1.5, 1.5 + 1, sum(1.5), '{1.5,2}'::numeric[]", "", vec![-1; 5]),
        ("1.5::numeric(10,2), 'a'::varchar(5), 'a'::char(3), 'a'::bpchar(3), 'a'::varchar", "", vec![numeric(10, 2), 9, 7, 7, -1]),
        ("now()::timestamp(3), now()::timestamptz(0), now()::time(1), now()", "", vec![3, 0, 1, -1]),
        ("lifetime_value_usd, country, customer_id", from, vec![numeric(12, 2), 6, -1]),
        (
            "lifetime_value_usd * 2, max(lifetime_value_usd), country || ''",
            &format!("{from} GROUP BY lifetime_value_usd, country"),
            vec![-1; 3],
        ),
        ("x, y", &format!("FROM (SELECT lifetime_value_usd AS x, country AS y {from} ORDER BY 1) t"), vec![numeric(12, 2), 6]),
        ("lifetime_value_usd", &format!("{from} UNION ALL SELECT lifetime_value_usd {from}"), vec![numeric(12, 2)]),
        ("lifetime_value_usd", &format!("{from} UNION ALL SELECT 1"), vec![-1]),
        ("t.country, t.*, 1::numeric(3)", "FROM customer.customer_360 t", {
            let columns = [-1, -1, -1, -1, -1, -1, 6, numeric(12, 2), -1, -1, -1, -1];
            [6].into_iter().chain(columns).chain([numeric(3, 0)]).collect()
        }),
    ] {
        let sql = format!("SELECT {items} {from}");
        let statement = session.prepare(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found: Vec<i32> = statement.columns().iter().map(tokio_postgres::Column::type_modifier).collect();
        assert_eq!(found, modifiers, "{sql}");
    }
    gateway.stop().await;
}

/// The four bytes that the number of an object is in binary.
struct Number(u32);

impl FromSql<'_> for Number {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(u32::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_its_number_in_binary_and_its_name_in_text() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    let session = gateway.login("analyst").await;
    for (object, number) in [
        ("'customer.customer_360'::regclass", "'customer.customer_360'::regclass::oid"),
        ("'pg_class'::regclass", "1259"),
        ("1247::regclass", "1247"),
        ("'now'::regproc", "1299"),
        ("'lower(text)'::regprocedure", "870"),
        ("'pg_catalog'::regnamespace", "11"),
        ("'int4'::regtype", "23"),
    ] {
        for from in ["", "FROM customer.customer_360 LIMIT 1"] {
            let row = session.query_one(&format!("SELECT {object}, {number}::oid {from}"), &[]).await;
            let row = row.unwrap_or_else(|error| panic!("{object} {from}: {error:?}"));
            assert_eq!(row.get::<_, Number>(0).0, row.get::<_, u32>(1), "{object} {from}");
        }
    }
    let row = session.query_one("SELECT NULL::regclass, to_regclass('nowhere')", &[]).await.unwrap();
    assert!(row.get::<_, Option<Number>>(0).is_none() && row.get::<_, Option<Number>>(1).is_none());
    gateway.stop().await;
}
