//! A table or view of a server, compared with its contract.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::datatypes::{DataType as ArrowType, FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::bulk::{self, Bulk};
use super::coarse::coarse_sql;
use super::described::{Described, describe};
use super::exec::{PostgresExec, Query};
use super::filter::{Family, Translator};
use super::location::{TableLocation, quoted};
use super::server::Server;
use super::types::{Access, SourceColumn, access, own_field};
use super::weight::{Counted, weigh};
use crate::ports::coarsening::Coarsening;
use crate::ports::error::{Error, Place};
use crate::ports::estimate::at_most;
use crate::ports::schema::{TextKind, text_kind, type_name};
use crate::ports::shape::Shape;

/// A column of the contract at the server.
#[derive(Debug, Clone)]
pub(super) struct PgColumn {
    /// As it is shown.
    pub(super) field: FieldRef,
    /// Its name at the server.
    pub(super) name: String,
    /// Its name within a query over several tables, as SQL.
    pub(super) alias: Option<String>,
    /// How it is asked for.
    pub(super) access: Access,
    /// How it may be compared there.
    pub(super) family: Family,
    /// It is compared as it is, without the cast: so an index can serve.
    pub(super) uncast: bool,
    /// The OID of its collation; 0 if it has none.
    pub(super) collation: u32,
    /// An index there begins with it.
    pub(super) indexed: bool,
    /// It is the table's key, for all that the contract tells.
    pub(super) unique: bool,
    /// Whatever it holds has the digits of its contract. Of others each value is tested when it arrives.
    pub(super) limited: bool,
    /// What the server makes of it before it sends it.
    pub(super) coarse: Option<Coarsening>,
    /// What the server has counted in it; nothing if nobody has asked.
    pub(super) counted: Counted,
}

/// `int2`, `int4` and `int8`. An `oid` would make one of whatever it is compared with, and fail.
const INTEGERS: [u32; 3] = [21, 23, 20];

impl PgColumn {
    /// What an aggregate makes of a column of that name.
    pub(super) fn of_state(field: &FieldRef, name: String, oid: u32) -> Self {
        Self {
            field: Arc::clone(field),
            name,
            alias: None,
            access: Access { cast: "", oid, checked: false },
            family: Family::Opaque,
            uncast: false,
            collation: 0,
            indexed: false,
            unique: false,
            limited: true,
            coarse: None,
            counted: Counted::default(),
        }
    }

    fn new(field: &FieldRef, source: &SourceColumn, utf8: bool) -> Option<Self> {
        let access = access(source, field)?;
        Some(Self {
            family: if access.checked { Family::Opaque } else { family(field, source, utf8) },
            uncast: INTEGERS.contains(&source.oid) && family(field, source, utf8) == Family::Int,
            field: Arc::clone(field),
            name: source.name.clone(),
            alias: None,
            access,
            collation: source.collation,
            indexed: source.indexed,
            unique: false,
            limited: source.is_limited(),
            coarse: None,
            counted: Counted::default(),
        })
    }

    /// The bare column.
    pub(super) fn name_sql(&self) -> String {
        self.alias.clone().unwrap_or_else(|| quoted(&self.name))
    }

    /// The column as its contract type. Integers of all widths compare alike.
    pub(super) fn value_sql(&self) -> String {
        let cast = if self.uncast { "" } else { self.access.cast };
        format!("{}{cast}", self.name_sql())
    }

    /// The column as it travels.
    pub(super) fn full_sql(&self) -> String {
        let coarse = self.coarse.and_then(|to| coarse_sql(self, to));
        coarse.unwrap_or_else(|| self.access.of(&self.name_sql()))
    }

    /// Whether what was planned with another look at the column holds.
    fn is_read_like(&self, other: &Self) -> bool {
        (&self.field, &self.name, &self.access, self.family, self.collation, self.limited)
            == (&other.field, &other.name, &other.access, other.family, other.collation, other.limited)
    }

    /// The column as it is compared for order.
    pub(super) fn order_sql(&self) -> String {
        match self.family {
            Family::Text { .. } => format!("{} COLLATE \"C\"", self.value_sql()),
            _ => self.value_sql(),
        }
    }

    /// Whether its values arrive as text, or texts in a list.
    fn is_told_as_text(&self) -> bool {
        fn is_text(shown: &ArrowType) -> bool {
            match shown {
                ArrowType::List(element) => is_text(element.data_type()),
                shown => *shown == ArrowType::Utf8View,
            }
        }
        is_text(self.field.data_type())
    }

    /// Whether the engine and the server order values alike.
    pub(super) fn is_ordered(&self) -> bool {
        !matches!(self.family, Family::Text { ordered: false } | Family::Uuid | Family::Opaque | Family::Bool)
    }
}

/// Two columns as they are compared for equality. Where each text is equal to itself alone, that is so under any collation; but there must be
/// one of both.
pub(super) fn equated(left: &PgColumn, right: &PgColumn) -> (String, String) {
    let texts = matches!((left.family, right.family), (Family::Text { .. }, Family::Text { .. }));
    let one_collation = left.collation == right.collation && left.access.cast.is_empty() && right.access.cast.is_empty();
    let left = left.value_sql();
    let left = if texts && !one_collation { format!("{left} COLLATE \"C\"") } else { left };
    (left, right.value_sql())
}

fn family(field: &FieldRef, source: &SourceColumn, utf8: bool) -> Family {
    match field.data_type() {
        ArrowType::Boolean => Family::Bool,
        ArrowType::Int16 | ArrowType::Int32 | ArrowType::Int64 => Family::Int,
        ArrowType::Float32 => Family::Float4,
        ArrowType::Float64 => Family::Float8,
        ArrowType::Decimal128(_, _) => Family::Numeric,
        ArrowType::Utf8View => match text_kind(field) {
            TextKind::Text if source.deterministic => Family::Text { ordered: utf8 },
            TextKind::Uuid => Family::Uuid,
            TextKind::Text | TextKind::Json => Family::Opaque,
        },
        ArrowType::Date32 => Family::Date,
        ArrowType::Time64(_) => Family::Time,
        ArrowType::Timestamp(_, None) => Family::Timestamp,
        ArrowType::Timestamp(_, Some(_)) => Family::Instant,
        ArrowType::Binary => Family::Bytes,
        _ => Family::Opaque,
    }
}

/// A table or view.
#[derive(Debug)]
pub(in crate::ports) struct PostgresTable {
    at: Place,
    server: Arc<Server>,
    location: TableLocation,
    shape: Shape,
    columns: Vec<PgColumn>,
    /// The look that the columns were last compared with.
    compared: Mutex<Weak<Described>>,
}

impl PostgresTable {
    /// Compares the source's columns with the contract's. Without a contract's shape, the source gives one.
    pub(super) async fn open(at: Place, server: Arc<Server>, location: TableLocation, shape: Option<Shape>) -> Result<Self, Error> {
        let shape = match shape {
            Some(shape) => shape,
            None => own_shape(&at, look(&at, &server, &location).await?.as_ref())?,
        };
        let (columns, described) = compare(&at, &server, &location, &shape).await?;
        Ok(Self { at, server, location, shape, columns, compared: Mutex::new(Arc::downgrade(&described)) })
    }

    /// Compares again, if there is anything new. Returns what was seen.
    async fn check(&self) -> Result<Arc<Described>, Error> {
        let compared = || self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = self.server.looks.last(&self.location)
            && Weak::ptr_eq(&compared(), &Arc::downgrade(&kept))
        {
            return Ok(kept);
        }
        let (columns, described) = compare(&self.at, &self.server, &self.location, &self.shape).await?;
        let changed = columns.iter().zip(&self.columns).find(|(now, before)| !now.is_read_like(before));
        match changed {
            Some((column, _)) => {
                // Still readable, but not by what was planned with the table as it was.
                let name = type_name(&column.field);
                let column = column.field.name().clone();
                Err(Error::ColumnType { at: self.at.clone(), column, found: "changed".to_owned(), expected: name })
            }
            None => {
                *compared() = Arc::downgrade(&described);
                Ok(described)
            }
        }
    }
}

/// The contract's columns at the source, and what was seen there. A look that is a moment old may confirm them, not refuse them.
async fn compare(at: &Place, server: &Server, location: &TableLocation, shape: &Shape) -> Result<(Vec<PgColumn>, Arc<Described>), Error> {
    if let Some(kept) = server.looks.last(location)
        && let Ok(columns) = resolve(at, shape, &kept)
    {
        return Ok((columns, kept));
    }
    let source = look(at, server, location).await?;
    Ok((resolve(at, shape, &source)?, source))
}

/// Asks the server, and keeps the answer for a moment.
async fn look(at: &Place, server: &Server, location: &TableLocation) -> Result<Arc<Described>, Error> {
    let described = Arc::new(describe(at, server, location).await?);
    server.looks.keep(location, &described);
    Ok(described)
}

fn resolve(at: &Place, shape: &Shape, source: &Described) -> Result<Vec<PgColumn>, Error> {
    let names: Vec<&str> = source.columns.iter().map(|column| column.name.as_str()).collect();
    let found = shape.locate(at, &names)?;
    let alone = shape.columns.iter().filter(|column| column.key).count() == 1;
    let resolved = found.iter().zip(&shape.columns).map(|(index, column)| {
        let there = source.columns.get(*index).ok_or_else(|| column.missing(at))?;
        let resolved = PgColumn::new(&column.field, there, source.utf8).ok_or_else(|| column.retyped(at, &there.type_name))?;
        Ok(PgColumn { unique: alone && column.key, ..resolved })
    });
    resolved.collect()
}

fn own_shape(at: &Place, source: &Described) -> Result<Shape, Error> {
    let fields = source.columns.iter().map(|column| {
        own_field(column).ok_or_else(|| Error::NotSupported { at: at.clone(), what: format!("the type of column \"{}\"", column.name) })
    });
    Ok(Shape::of_source(fields.collect::<Result<Vec<_>, _>>()?))
}

#[async_trait]
impl TableProvider for PostgresTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = filters.iter().map(|filter| match Translator::new(&self.columns).translate(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        });
        Ok(support.collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let described = self.check().await?;
        let indices = self.shape.project(&self.at, projection)?;
        let columns: Vec<PgColumn> = indices.iter().filter_map(|index| self.columns.get(*index)).cloned().collect();
        // A large table of which much is read is copied; a few rows that an index finds are asked for.
        let pages_min = self.server.bulk_pages();
        let pages = described.pages();
        let large = pages >= pages_min && limit.is_none() && !filters.iter().any(|filter| self.finds(filter));
        let (translator, tested, copied) = self.tested(filters, large);
        let complete = tested.len() == filters.len();
        let (filters, conditions) = tested.into_iter().unzip();
        // A filter that is tested above may drop rows: a limit here would come too early.
        let limit = limit.filter(|_| complete);
        let from = self.location.to_sql();
        let mut query = Query {
            at: self.at.clone(),
            server: Arc::clone(&self.server),
            select: format!("SELECT {} FROM {from}", select_list(&columns)),
            qualifier: format!("{from}."),
            places: described.places().iter().map(|place| format!("{from}.{place}")).collect(),
            from,
            filters,
            conditions,
            complete,
            parameters: translator.into_parameters(),
            tail: String::new(),
            limit,
            reduced: false,
            // A server of another encoding may not be able to send a text.
            computed: described.computed || (!described.utf8 && columns.iter().any(PgColumn::is_told_as_text)),
            marking: false,
            fitting: Vec::new(),
            columns,
            schema: self.shape.projected(&indices),
            rows: at_most(described.rows, limit),
            expected: None,
            joined: None,
            own_timeout: described.own_timeout,
        };
        weigh(&mut query, &self.location, &described, session.config()).await;
        let bulk = copied.then(|| {
            let ranges = bulk::ranges(pages, pages_min, session.config().target_partitions());
            Bulk::new(&described.heaps, if ranges > 1 { self.server.reserve(ranges) } else { Vec::new() })
        });
        Ok(Arc::new(PostgresExec::new(query, bulk)))
    }
}

impl PostgresTable {
    /// The filters that the server tests, each with its SQL, and what wrote that; and whether rows can be copied under them.
    fn tested(&self, filters: &[Expr], large: bool) -> (Translator<'_>, Vec<(Expr, String)>, bool) {
        let mut translator = Translator::new(&self.columns);
        let tested = translator.translate_all(filters);
        if large {
            // Not every value has a form in a statement, and a copy takes no other.
            let mut inline = Translator::after(&self.columns, Vec::new(), true);
            let alike = inline.translate_all(filters);
            if alike.len() == tested.len() {
                return (inline, alike, true);
            }
        }
        (translator, tested, false)
    }

    /// Whether an index leads to the few rows of a filter.
    fn finds(&self, filter: &Expr) -> bool {
        let indexed = |expr: &Expr| match expr {
            Expr::Column(column) => self.columns.iter().any(|known| known.indexed && known.field.name() == &column.name),
            _ => false,
        };
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => self.finds(left) || self.finds(right),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => indexed(left) || indexed(right),
            Expr::InList(list) => !list.negated && indexed(&list.expr),
            _ => false,
        }
    }
}

/// What is asked for, in this order.
pub(super) fn select_list(columns: &[PgColumn]) -> String {
    if columns.is_empty() {
        // Rows are counted, not read.
        return "NULL::pg_catalog.bool".to_owned();
    }
    let items: Vec<String> = columns.iter().map(PgColumn::full_sql).collect();
    items.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ports::schema::arrow_field;
    use crate::product::DataType;

    /// A column of a UTF-8 server.
    pub(in crate::ports::postgres) fn column(name: &str, data_type: &DataType, oid: u32) -> PgColumn {
        let source = SourceColumn {
            name: name.to_owned(),
            oid,
            typmod: -1,
            type_name: String::new(),
            is_enum: false,
            is_enum_array: false,
            is_domain: false,
            deterministic: true,
            collation: 0,
            indexed: false,
        };
        PgColumn::new(&Arc::new(arrow_field(name, data_type)), &source, true).unwrap()
    }

    #[test]
    fn a_narrower_source_is_cast_in_the_select_list() {
        let columns = [column("a", &DataType::Int64, 23), column("b", &DataType::String, 25), column("c\"d", &DataType::String, 1042)];
        assert_eq!(select_list(&columns), "\"a\"::pg_catalog.int8, \"b\", \"c\"\"d\"::pg_catalog.text");
        let told = [columns[0].value_sql(), column("o", &DataType::Int64, 26).value_sql()];
        assert_eq!(told, ["\"a\"", "\"o\"::pg_catalog.int8"]);
    }
}
