//! Lineage of statements, each with the answer worked out by hand.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::prelude::SessionContext;

use super::trace;
use crate::lineage::{Lineage, Source};
use crate::product::{DomainName, PortName, ProductName, ProductRef, Version};

fn table(fields: &[(&str, DataType)]) -> Arc<EmptyTable> {
    let fields: Vec<Field> = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
    Arc::new(EmptyTable::new(Arc::new(Schema::new(fields))))
}

async fn plan(sql: &str) -> LogicalPlan {
    let context = SessionContext::new();
    let (int, text) = (DataType::Int64, DataType::Utf8);
    context.register_table("c", table(&[("id", int.clone()), ("name", text.clone()), ("tier", text.clone())])).unwrap();
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    context.register_table("o", table(&[("id", int.clone()), ("cust", int.clone()), ("amount", int.clone()), ("tags", list)])).unwrap();
    context.register_table("sys", table(&[("x", int)])).unwrap();
    let state = context.state();
    let plan = state.create_logical_plan(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap()
}

fn locate(scan: &TableScan) -> Option<(ProductRef, PortName)> {
    let name = scan.table_name.table();
    ["c", "o"].contains(&name).then(|| {
        let version = Version { major: 1, minor: 0, patch: 0 };
        let product = ProductRef { domain: DomainName::parse("d").unwrap(), name: ProductName::parse(name).unwrap(), version };
        (product, PortName::parse("p").unwrap())
    })
}

fn source(lineage: &Lineage, source: &Source) -> String {
    let product = &lineage.inputs[source.input].product.name;
    let how: Vec<&str> = source.transformations.iter().map(|how| how.subtype()).collect();
    format!("{product}.{}:{}", source.field, how.join("+"))
}

fn sources(lineage: &Lineage, all: &[Source]) -> String {
    let mut all: Vec<String> = all.iter().map(|one| source(lineage, one)).collect();
    all.sort();
    all.join(" ")
}

/// `<column sources> | … || <row sources> || <field>=<first letters of its uses> …`
async fn traced(sql: &str) -> String {
    let lineage = trace(&plan(sql).await, &locate);
    assert!(lineage.complete, "{sql}");
    let columns: Vec<String> = lineage.columns.iter().map(|column| sources(&lineage, &column.sources)).collect();
    let mut uses: Vec<String> = Vec::new();
    for input in &lineage.inputs {
        for field in &input.fields {
            let letters: String = field.uses.iter().map(|field_use| &field_use.as_str()[..1]).collect();
            uses.push(format!("{}.{}={letters}", input.product.name, field.name));
        }
    }
    uses.sort();
    format!("{} || {} || {}", columns.join(" | "), sources(&lineage, &lineage.rows), uses.join(" "))
}

/// Statement → lineage, as [`traced`] writes it.
const CASES: &[(&str, &str)] = &[
    ("SELECT name FROM c", "c.name:IDENTITY ||  || c.name=p"),
    ("SELECT name AS n, 1 FROM c", "c.name:IDENTITY |  ||  || c.name=p"),
    ("SELECT upper(name) || tier FROM c", "c.name:TRANSFORMATION c.tier:TRANSFORMATION ||  || c.name=p c.tier=p"),
    ("SELECT name FROM c WHERE tier = 'x'", "c.name:IDENTITY || c.tier:FILTER || c.name=p c.tier=f"),
    ("SELECT name FROM c ORDER BY id", "c.name:IDENTITY || c.id:SORT || c.id=s c.name=p"),
    ("SELECT count(*) FROM c", " ||  || "),
    ("SELECT count(name) FROM c", "c.name:AGGREGATION ||  || c.name=a"),
    ("SELECT tier, count(*) FROM c GROUP BY tier", "c.tier:IDENTITY |  || c.tier:GROUP_BY || c.tier=pg"),
    (
        "SELECT tier, max(id) FROM c GROUP BY tier HAVING min(name) > 'a'",
        "c.tier:IDENTITY | c.id:AGGREGATION || c.name:FILTER c.tier:GROUP_BY || c.id=a c.name=fa c.tier=pg",
    ),
    ("SELECT sum(id) FILTER (WHERE tier = 'x') FROM c", "c.id:AGGREGATION c.tier:FILTER ||  || c.id=a c.tier=f"),
    ("SELECT DISTINCT tier FROM c", "c.tier:IDENTITY || c.tier:GROUP_BY || c.tier=pg"),
    (
        "SELECT c.name, o.amount FROM c JOIN o ON c.id = o.cust",
        "c.name:IDENTITY | o.amount:IDENTITY || c.id:JOIN o.cust:JOIN || c.id=j c.name=p o.amount=p o.cust=j",
    ),
    (
        "SELECT c.name FROM c LEFT JOIN o ON c.id = o.cust AND o.amount > length(c.tier)",
        "c.name:IDENTITY || c.id:JOIN c.tier:JOIN o.amount:JOIN o.cust:JOIN || c.id=j c.name=p c.tier=j o.amount=j o.cust=j",
    ),
    ("SELECT c.name FROM c CROSS JOIN o", "c.name:IDENTITY ||  || c.name=p"),
    ("SELECT CASE WHEN tier = 'x' THEN name ELSE 'n' END FROM c", "c.name:TRANSFORMATION c.tier:CONDITIONAL ||  || c.name=p c.tier=p"),
    ("SELECT row_number() OVER (PARTITION BY tier ORDER BY id) FROM c", "c.id:WINDOW c.tier:WINDOW ||  || c.id=s c.tier=g"),
    ("SELECT sum(id) OVER (PARTITION BY tier) FROM c", "c.id:AGGREGATION c.tier:WINDOW ||  || c.id=a c.tier=g"),
    ("SELECT lag(name) OVER (ORDER BY id) FROM c", "c.id:WINDOW c.name:TRANSFORMATION ||  || c.id=s c.name=pa"),
    (
        "SELECT name FROM c UNION ALL SELECT CAST(amount AS text) FROM o",
        "c.name:IDENTITY o.amount:TRANSFORMATION ||  || c.name=p o.amount=p",
    ),
    ("SELECT id FROM c UNION SELECT cust FROM o", "c.id:IDENTITY o.cust:IDENTITY || c.id:GROUP_BY o.cust:GROUP_BY || c.id=pg o.cust=pg"),
    ("WITH w AS (SELECT id + 1 AS a, name FROM c) SELECT a FROM w", "c.id:TRANSFORMATION ||  || c.id=p"),
    ("SELECT s.m FROM (SELECT max(id) AS m FROM c) s WHERE s.m > 3", "c.id:AGGREGATION || c.id:FILTER || c.id=fa"),
    ("SELECT (SELECT max(amount) FROM o)", "o.amount:AGGREGATION ||  || o.amount=a"),
    (
        "SELECT (SELECT max(amount) FROM o WHERE o.cust = c.id) FROM c",
        "c.id:FILTER o.amount:AGGREGATION o.cust:FILTER ||  || c.id=f o.amount=a o.cust=f",
    ),
    (
        "SELECT name FROM c WHERE id IN (SELECT cust FROM o WHERE amount > 1)",
        "c.name:IDENTITY || c.id:FILTER o.amount:FILTER o.cust:FILTER || c.id=f c.name=p o.amount=f o.cust=f",
    ),
    (
        "SELECT name FROM c WHERE EXISTS (SELECT tags FROM o WHERE o.cust = c.id)",
        "c.name:IDENTITY || c.id:FILTER o.cust:FILTER || c.id=f c.name=p o.cust=f",
    ),
    (
        "SELECT a.name, b.tier FROM c a JOIN c b ON a.id = b.id",
        "c.name:IDENTITY | c.tier:IDENTITY || c.id:JOIN || c.id=j c.name=p c.tier=p",
    ),
    (
        "SELECT tier, name, grouping(tier) FROM c GROUP BY ROLLUP (tier, name)",
        "c.tier:IDENTITY | c.name:IDENTITY |  || c.name:GROUP_BY c.tier:GROUP_BY || c.name=pg c.tier=pg",
    ),
    ("SELECT unnest(tags), id FROM o", "o.tags:TRANSFORMATION | o.id:IDENTITY ||  || o.id=p o.tags=p"),
    (
        "SELECT DISTINCT ON (tier) name FROM c ORDER BY tier, id",
        "c.name:IDENTITY || c.id:SORT c.tier:GROUP_BY+SORT || c.id=s c.name=p c.tier=gs",
    ),
    ("SELECT x FROM sys", " ||  || "),
    ("VALUES (1), ((SELECT max(id) FROM c))", "c.id:AGGREGATION ||  || c.id=a"),
    (
        "WITH RECURSIVE r AS (SELECT id AS a, id AS b FROM c UNION ALL SELECT b, o.cust FROM r JOIN o ON r.a = o.id) SELECT a FROM r",
        "c.id:IDENTITY o.cust:IDENTITY || c.id:JOIN o.cust:JOIN o.id:JOIN || c.id=pj o.cust=pj o.id=j",
    ),
    ("SELECT id FROM c LIMIT 3", "c.id:IDENTITY ||  || c.id=p"),
    ("SELECT id FROM c INTERSECT SELECT cust FROM o", "c.id:IDENTITY || c.id:JOIN+GROUP_BY o.cust:JOIN || c.id=pjg o.cust=j"),
    ("EXPLAIN SELECT name FROM c WHERE id = 1", " |  || c.id:FILTER || c.id=f"),
    ("SELECT name FROM c WHERE tier = 'x' AND id > 3", "c.name:IDENTITY || c.id:FILTER c.tier:FILTER || c.id=f c.name=p c.tier=f"),
    ("SELECT id, id + 1 FROM c", "c.id:IDENTITY | c.id:TRANSFORMATION ||  || c.id=p"),
    ("SELECT * FROM c", "c.id:IDENTITY | c.name:IDENTITY | c.tier:IDENTITY ||  || c.id=p c.name=p c.tier=p"),
    ("SELECT coalesce(name, tier) FROM c", "c.name:TRANSFORMATION c.tier:TRANSFORMATION ||  || c.name=p c.tier=p"),
    ("SELECT CAST(id AS text) FROM c", "c.id:TRANSFORMATION ||  || c.id=p"),
    ("SELECT id IN (1, 2) FROM c", "c.id:TRANSFORMATION ||  || c.id=p"),
    ("SELECT 1 FROM c WHERE id IS NULL", " || c.id:FILTER || c.id=f"),
    ("SELECT name FROM c WHERE id BETWEEN 1 AND 3", "c.name:IDENTITY || c.id:FILTER || c.id=f c.name=p"),
    ("SELECT name FROM c WHERE name LIKE 'a%'", "c.name:IDENTITY || c.name:FILTER || c.name=pf"),
    ("SELECT name FROM c WHERE tier IN ('a', 'b') OR id = 1", "c.name:IDENTITY || c.id:FILTER c.tier:FILTER || c.id=f c.name=p c.tier=f"),
    ("SELECT CASE tier WHEN 'x' THEN id END FROM c", "c.id:TRANSFORMATION c.tier:CONDITIONAL ||  || c.id=p c.tier=p"),
    // What decides inside an aggregate is called projected as well (#6).
    ("SELECT sum(CASE WHEN tier = 'x' THEN id ELSE 0 END) FROM c", "c.id:AGGREGATION c.tier:CONDITIONAL ||  || c.id=a c.tier=pa"),
    (
        "SELECT avg(amount) AS m, cust FROM o GROUP BY cust ORDER BY m",
        "o.amount:AGGREGATION | o.cust:IDENTITY || o.amount:SORT o.cust:GROUP_BY || o.amount=sa o.cust=pg",
    ),
    ("SELECT count(DISTINCT tier) FROM c", "c.tier:AGGREGATION ||  || c.tier=a"),
    ("SELECT tier, count(*) FROM c GROUP BY tier ORDER BY count(*)", "c.tier:IDENTITY |  || c.tier:GROUP_BY || c.tier=pg"),
    ("SELECT upper(tier), count(*) FROM c GROUP BY upper(tier)", "c.tier:TRANSFORMATION |  || c.tier:GROUP_BY || c.tier=pg"),
    ("SELECT name AS a FROM c GROUP BY name HAVING count(*) > 1", "c.name:IDENTITY || c.name:GROUP_BY || c.name=pg"),
    ("SELECT string_agg(name, ',' ORDER BY id) FROM c", "c.id:SORT c.name:AGGREGATION ||  || c.id=s c.name=a"),
    (
        "SELECT max(m) FROM (SELECT cust, sum(amount) AS m FROM o GROUP BY cust) s",
        "o.amount:AGGREGATION || o.cust:GROUP_BY || o.amount=a o.cust=g",
    ),
    (
        "SELECT a.amount - b.amount FROM o a JOIN o b ON a.id = b.cust",
        "o.amount:TRANSFORMATION || o.cust:JOIN o.id:JOIN || o.amount=p o.cust=j o.id=j",
    ),
    ("SELECT name FROM c JOIN o USING (id)", "c.name:IDENTITY || c.id:JOIN o.id:JOIN || c.id=j c.name=p o.id=j"),
    (
        "SELECT c.name FROM c RIGHT JOIN o ON c.id = o.cust WHERE o.amount > 2",
        "c.name:IDENTITY || c.id:JOIN o.amount:FILTER o.cust:JOIN || c.id=j c.name=p o.amount=f o.cust=j",
    ),
    ("SELECT c.id, o.id FROM c FULL JOIN o ON c.id = o.id", "c.id:IDENTITY | o.id:IDENTITY || c.id:JOIN o.id:JOIN || c.id=pj o.id=pj"),
    ("SELECT name FROM c WHERE id NOT IN (SELECT cust FROM o)", "c.name:IDENTITY || c.id:FILTER o.cust:FILTER || c.id=f c.name=p o.cust=f"),
    (
        "SELECT name FROM c WHERE NOT EXISTS (SELECT 1 FROM o WHERE o.cust = c.id AND o.amount > 5)",
        "c.name:IDENTITY || c.id:FILTER o.amount:FILTER o.cust:FILTER || c.id=f c.name=p o.amount=f o.cust=f",
    ),
    (
        "SELECT name FROM c WHERE id = (SELECT max(cust) FROM o)",
        "c.name:IDENTITY || c.id:FILTER o.cust:FILTER || c.id=f c.name=p o.cust=fa",
    ),
    (
        "SELECT name, (SELECT count(*) FROM o WHERE o.cust = c.id) FROM c",
        "c.name:IDENTITY | c.id:FILTER o.cust:FILTER ||  || c.id=f c.name=p o.cust=f",
    ),
    (
        "SELECT amount FROM o WHERE EXISTS (SELECT 1 FROM c WHERE c.id = o.cust AND c.tier IN (SELECT tier FROM c WHERE name = 'n'))",
        "o.amount:IDENTITY || c.id:FILTER c.name:FILTER c.tier:FILTER o.cust:FILTER || c.id=f c.name=f c.tier=f o.amount=p o.cust=f",
    ),
    (
        "WITH a AS (SELECT id AS k, tier FROM c), b AS (SELECT cust AS k, amount FROM o) \
         SELECT a.tier, sum(b.amount) FROM a JOIN b ON a.k = b.k GROUP BY a.tier",
        "c.tier:IDENTITY | o.amount:AGGREGATION || c.id:JOIN c.tier:GROUP_BY o.cust:JOIN || c.id=j c.tier=pg o.amount=a o.cust=j",
    ),
    (
        "SELECT s.* FROM (SELECT name, id * 2 AS d FROM c) s WHERE d > 4",
        "c.name:IDENTITY | c.id:TRANSFORMATION || c.id:FILTER || c.id=pf c.name=p",
    ),
    (
        "SELECT x FROM (SELECT name AS x, row_number() OVER (ORDER BY id) AS n FROM c) s WHERE n <= 3",
        "c.name:IDENTITY || c.id:FILTER || c.id=fs c.name=p",
    ),
    ("SELECT rank() OVER (ORDER BY amount DESC) FROM o", "o.amount:WINDOW ||  || o.amount=s"),
    (
        "SELECT sum(amount) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM o",
        "o.amount:AGGREGATION o.id:WINDOW ||  || o.amount=a o.id=s",
    ),
    (
        "SELECT name FROM c UNION SELECT tier FROM c",
        "c.name:IDENTITY c.tier:IDENTITY || c.name:GROUP_BY c.tier:GROUP_BY || c.name=pg c.tier=pg",
    ),
    ("SELECT name FROM c UNION ALL SELECT name FROM c WHERE tier = 'x'", "c.name:IDENTITY || c.tier:FILTER || c.name=p c.tier=f"),
    ("SELECT id FROM c EXCEPT SELECT cust FROM o", "c.id:IDENTITY || c.id:JOIN+GROUP_BY o.cust:JOIN || c.id=pjg o.cust=j"),
    ("SELECT tier FROM c ORDER BY tier LIMIT 1 OFFSET 1", "c.tier:IDENTITY || c.tier:SORT || c.tier=ps"),
];

#[tokio::test]
async fn statements_have_the_lineage_worked_out_by_hand() {
    let mut wrong = Vec::new();
    for (sql, expected) in CASES {
        let found = traced(sql).await;
        if found != *expected {
            wrong.push(format!("{sql}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_deep_expression_and_many_unions_do_not_end_the_thread() {
    let union = vec!["SELECT id FROM c"; 300].join(" UNION ALL ");
    assert!(traced(&union).await.starts_with("c.id:IDENTITY ||"));
    let sum = vec!["id"; 500].join(" + ");
    assert!(traced(&format!("SELECT {sum} FROM c")).await.starts_with("c.id:TRANSFORMATION ||"));
}

#[tokio::test]
async fn a_masked_field_is_marked_wherever_it_is_read() {
    let mut lineage = trace(&plan("SELECT name, id FROM c").await, &locate);
    let product = lineage.inputs[0].product.clone();
    lineage.mark_masked(&product, "name");
    let masked: Vec<_> = lineage.inputs[0].fields.iter().map(|field| (field.name.as_str(), field.masked)).collect();
    assert_eq!(masked, [("id", false), ("name", true)]);
}
