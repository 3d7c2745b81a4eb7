//! Filters as SQL with parameters.
//!
//! INVARIANT: a filter is translated only if the server keeps exactly the rows that the engine would keep. So:
//! - columns and literals stand bare, and a literal has its column's type; it always travels as a parameter;
//! - texts are compared for order by their bytes (`COLLATE "C"`) and only on a UTF-8 server; equality and LIKE need a deterministic
//!   collation, and a LIKE pattern has no backslash, which the server refuses at the end of a pattern;
//! - a server of another encoding may not know a letter, or count its bytes: it is asked for texts of ASCII only, and for no LIKE;
//! - a float literal is finite and not zero: the engine tells −0 from 0 and the server does not.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::decode::{EPOCH_DAYS, EPOCH_US};
pub(super) use super::parameter::Parameter;
use super::table::{PgColumn, equated};

/// A longer list is left to the engine.
const PARAMETERS_MAX: usize = 1000;

/// What the engine and the server agree on when they compare values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Bool,
    Int,
    Float4,
    Float8,
    Numeric,
    Text {
        /// By bytes.
        ordered: bool,
    },
    Uuid,
    Date,
    Time,
    Timestamp,
    Instant,
    Bytes,
    /// Nothing but NULL or not.
    Opaque,
}

/// Translates filters over the columns of a table, and collects their parameters.
pub(super) struct Translator<'a> {
    columns: &'a [PgColumn],
    parameters: Vec<Parameter>,
    /// Values stand in the conditions themselves.
    inline: bool,
    /// A value could not stand in its condition.
    unspoken: bool,
}

impl<'a> Translator<'a> {
    /// No parameter yet.
    pub(super) fn new(columns: &'a [PgColumn]) -> Self {
        Self::after(columns, Vec::new(), false)
    }

    /// Behind conditions with these parameters.
    pub(super) fn after(columns: &'a [PgColumn], parameters: Vec<Parameter>, inline: bool) -> Self {
        Self { columns, parameters, inline, unspoken: false }
    }

    /// The parameters of all filters that were translated.
    pub(super) fn into_parameters(self) -> Vec<Parameter> {
        self.parameters
    }

    /// One filter as SQL, or `None` if it is not for the server.
    pub(super) fn translate(&mut self, filter: &Expr) -> Option<String> {
        let before = self.parameters.len();
        self.unspoken = false;
        let sql = self.condition(filter).filter(|_| self.parameters.len() - before <= PARAMETERS_MAX && !self.unspoken);
        if sql.is_none() || self.inline {
            self.parameters.truncate(before);
        }
        sql
    }

    /// Those of these filters that are for the server, each with its SQL.
    pub(super) fn translate_all(&mut self, filters: &[Expr]) -> Vec<(Expr, String)> {
        filters.iter().filter_map(|filter| Some((filter.clone(), self.translate(filter)?))).collect()
    }

    fn condition(&mut self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                Some(format!("({left} {op} {right})"))
            }
            Expr::BinaryExpr(binary) => self.comparison(binary),
            Expr::Not(inner) => Some(format!("(NOT {})", self.condition(inner)?)),
            Expr::IsNull(inner) => Some(format!("({} IS NULL)", self.column(inner)?.name_sql())),
            Expr::IsNotNull(inner) => Some(format!("({} IS NOT NULL)", self.column(inner)?.name_sql())),
            Expr::IsTrue(inner) => Some(format!("({} IS TRUE)", self.condition(inner)?)),
            Expr::IsNotTrue(inner) => Some(format!("({} IS NOT TRUE)", self.condition(inner)?)),
            Expr::IsFalse(inner) => Some(format!("({} IS FALSE)", self.condition(inner)?)),
            Expr::IsNotFalse(inner) => Some(format!("({} IS NOT FALSE)", self.condition(inner)?)),
            Expr::Between(between) => {
                let column = self.column(&between.expr)?;
                let (low, high) = (self.ordered(column, &between.low)?, self.ordered(column, &between.high)?);
                let not = if between.negated { "NOT " } else { "" };
                Some(format!("({} {not}BETWEEN {low} AND {high})", column.order_sql()))
            }
            Expr::InList(list) => self.in_list(list),
            Expr::Like(like) => {
                let column = self.column(&like.expr).filter(|column| column.family == Family::Text { ordered: true })?;
                let pattern = literal_text(&like.pattern).filter(|pattern| !pattern.contains(['\\', '\0']))?;
                if like.case_insensitive || like.escape_char.is_some() {
                    return None;
                }
                let not = if like.negated { "NOT " } else { "" };
                Some(format!("({} {not}LIKE {})", column.value_sql(), self.bind(Parameter::Text(pattern.to_owned()))))
            }
            Expr::Column(_) => self.column(expr).filter(|column| column.family == Family::Bool).map(PgColumn::value_sql),
            Expr::Literal(ScalarValue::Boolean(Some(value)), _) => Some(if *value { "TRUE" } else { "FALSE" }.to_owned()),
            _ => None,
        }
    }

    fn comparison(&mut self, binary: &BinaryExpr) -> Option<String> {
        let (column, op, other) = match (&*binary.left, &*binary.right) {
            (Expr::Column(_), _) => (self.column(&binary.left)?, binary.op, &*binary.right),
            (Expr::Literal(_, _), Expr::Column(_)) => (self.column(&binary.right)?, binary.op.swap()?, &*binary.left),
            _ => return None,
        };
        let sql_op = match op {
            Operator::Eq => "=",
            Operator::NotEq => "<>",
            Operator::IsDistinctFrom => "IS DISTINCT FROM",
            Operator::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            Operator::Lt => "<",
            Operator::LtEq => "<=",
            Operator::Gt => ">",
            Operator::GtEq => ">=",
            _ => return None,
        };
        let is_order = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        let mut left = if is_order { column.order_sql() } else { column.value_sql() };
        let right = match other {
            Expr::Column(_) => {
                let other = self.column(other)?;
                let floats = matches!(column.family, Family::Float4 | Family::Float8 | Family::Opaque);
                if other.family != column.family || floats || (is_order && !column.is_ordered()) {
                    return None;
                }
                if is_order {
                    other.order_sql()
                } else {
                    let (one, other) = equated(column, other);
                    left = one;
                    other
                }
            }
            literal if is_order => self.ordered(column, literal)?,
            literal => self.literal(column.family, literal)?,
        };
        Some(format!("({left} {sql_op} {right})"))
    }

    fn in_list(&mut self, list: &InList) -> Option<String> {
        let column = self.column(&list.expr)?;
        if list.list.is_empty() || list.list.len() > PARAMETERS_MAX {
            return None;
        }
        let items = list.list.iter().map(|item| self.literal(column.family, item)).collect::<Option<Vec<_>>>()?;
        let not = if list.negated { "NOT " } else { "" };
        Some(format!("({} {not}IN ({}))", column.value_sql(), items.join(", ")))
    }

    fn column(&self, expr: &Expr) -> Option<&'a PgColumn> {
        let Expr::Column(column) = expr else { return None };
        let mut named = self.columns.iter().filter(|known| known.field.name() == &column.name);
        // Of joined tables, two columns can have one name.
        let found = named.next()?;
        named.next().is_none().then_some(found)
    }

    /// A literal that its column is compared with for order.
    fn ordered(&mut self, column: &PgColumn, expr: &Expr) -> Option<String> {
        if column.is_ordered() { self.literal(column.family, expr) } else { None }
    }

    fn literal(&mut self, family: Family, expr: &Expr) -> Option<String> {
        let Expr::Literal(value, _) = expr else { return None };
        if let (Family::Numeric, ScalarValue::Decimal128(Some(value), _, scale)) = (family, value) {
            let text = decimal_text(*value, *scale)?;
            return Some(format!("{}::pg_catalog.numeric", self.bind(Parameter::Text(text))));
        }
        let parameter = parameter(family, value)?;
        Some(self.bind(parameter))
    }

    fn bind(&mut self, parameter: Parameter) -> String {
        let text = self.inline.then(|| parameter.to_sql_text());
        self.parameters.push(parameter);
        match text {
            None => format!("${}", self.parameters.len()),
            Some(Some(text)) => text,
            Some(None) => {
                self.unspoken = true;
                String::new()
            }
        }
    }
}

fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

fn parameter(family: Family, value: &ScalarValue) -> Option<Parameter> {
    match (family, value) {
        (Family::Bool, ScalarValue::Boolean(Some(value))) => Some(Parameter::Bool(*value)),
        (Family::Int, value) => integer(value).map(Parameter::Int),
        (Family::Float4, ScalarValue::Float32(Some(value))) => (value.is_finite() && *value != 0.0).then_some(Parameter::Float4(*value)),
        (Family::Float8, ScalarValue::Float64(Some(value))) => (value.is_finite() && *value != 0.0).then_some(Parameter::Float8(*value)),
        (Family::Text { ordered: utf8 }, value) => {
            let text = value.try_as_str().flatten().filter(|text| !text.contains('\0') && (utf8 || text.is_ascii()))?;
            Some(Parameter::Text(text.to_owned()))
        }
        (Family::Uuid, value) => {
            // The engine compares texts: only the form that the column shows can be equal.
            let text = value.try_as_str().flatten()?;
            let uuid = uuid::Uuid::try_parse(text).ok().filter(|uuid| uuid.hyphenated().to_string() == text)?;
            Some(Parameter::Uuid(uuid))
        }
        (Family::Date, ScalarValue::Date32(Some(days))) => days.checked_sub(EPOCH_DAYS).map(Parameter::Date),
        (Family::Time, ScalarValue::Time64Microsecond(Some(micros))) => Some(Parameter::Time(*micros)),
        (Family::Timestamp, ScalarValue::TimestampMicrosecond(Some(micros), None)) => {
            micros.checked_sub(EPOCH_US).map(Parameter::Timestamp)
        }
        (Family::Instant, ScalarValue::TimestampMicrosecond(Some(micros), Some(_))) => micros.checked_sub(EPOCH_US).map(Parameter::Instant),
        (Family::Bytes, ScalarValue::Binary(Some(bytes))) => Some(Parameter::Bytes(bytes.clone())),
        _ => None,
    }
}

/// A scaled integer as the server reads it.
fn decimal_text(value: i128, scale: i8) -> Option<String> {
    let scale = usize::try_from(scale).ok()?;
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - scale)?;
    let sign = if value < 0 { "-" } else { "" };
    Some(format!("{sign}{whole}.{fraction}0"))
}

/// A whole number of any width.
pub(super) fn integer(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int8(Some(value)) => Some(i64::from(*value)),
        ScalarValue::Int16(Some(value)) => Some(i64::from(*value)),
        ScalarValue::Int32(Some(value)) => Some(i64::from(*value)),
        ScalarValue::Int64(Some(value)) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::Column;
    use datafusion::logical_expr::{col, lit};

    use super::super::table::tests::column;
    use super::*;
    use crate::product::DataType;

    fn columns() -> Vec<PgColumn> {
        vec![
            column("id", &DataType::Int64, 23),
            column("name", &DataType::String, 25),
            column("price", &DataType::Decimal { precision: 12, scale: 2 }, 1700),
            column("weight", &DataType::Float64, 701),
            column("payload", &DataType::Json, 114),
            column("active", &DataType::Boolean, 16),
        ]
    }

    fn sql(filter: &Expr) -> Option<String> {
        Translator::new(&columns()).translate(filter)
    }

    #[test]
    fn comparisons_travel_with_parameters() {
        assert_eq!(sql(&col("id").eq(lit(7_i64))).unwrap(), "(\"id\" = $1)");
        assert_eq!(sql(&lit(7_i64).lt(col("id"))).unwrap(), "(\"id\" > $1)");
        assert_eq!(sql(&col("name").lt(lit("m"))).unwrap(), "(\"name\" COLLATE \"C\" < $1)");
        assert_eq!(sql(&col("name").like(lit("a%"))).unwrap(), "(\"name\" LIKE $1)");
        assert_eq!(sql(&col("active").and(col("id").is_null())).unwrap(), "(\"active\" AND (\"id\" IS NULL))");
        assert_eq!(sql(&col("id").in_list(vec![lit(1_i64), lit(2_i64)], true)).unwrap(), "(\"id\" NOT IN ($1, $2))");
        let price = col("price").gt_eq(Expr::Literal(ScalarValue::Decimal128(Some(-5), 12, 2), None));
        let columns = columns();
        let mut translator = Translator::new(&columns);
        assert_eq!(translator.translate(&price).unwrap(), "(\"price\" >= $1::pg_catalog.numeric)");
        assert!(translator.into_parameters() == [Parameter::Text("-0.050".to_owned())]);
    }

    #[test]
    fn what_could_differ_stays_with_the_engine() {
        assert_eq!(sql(&col("weight").eq(lit(0.0_f64))), None);
        assert_eq!(sql(&col("weight").eq(lit(f64::NAN))), None);
        assert_eq!(sql(&col("payload").eq(lit("{}"))), None);
        assert_eq!(sql(&col("name").like(lit("a\\%"))), None);
        assert_eq!(sql(&col("name").ilike(lit("a%"))), None);
        assert_eq!(sql(&col("id").eq(lit("7"))), None);
        assert_eq!(sql(&(col("id") + lit(1_i64)).eq(lit(7_i64))), None);
        assert_eq!(sql(&col("id").in_list(vec![lit(1_i64), lit(ScalarValue::Int64(None))], true)), None);
        assert_eq!(sql(&Expr::Column(Column::from_name("ssn")).is_null()), None);
    }

    #[test]
    fn a_server_of_another_encoding_is_asked_for_ascii() {
        let mut latin = columns();
        latin[1].family = Family::Text { ordered: false };
        let sql = |filter: &Expr| Translator::new(&latin).translate(filter);
        assert_eq!(sql(&col("name").eq(lit("Zoe"))).unwrap(), "(\"name\" = $1)");
        for filter in [col("name").eq(lit("Zoë")), col("name").like(lit("a_")), col("name").lt(lit("m"))] {
            assert_eq!(sql(&filter), None, "{filter}");
        }
        assert_eq!(sql(&col("name").in_list(vec![lit("a"), lit("€")], false)), None);
    }

    #[test]
    fn a_filter_that_is_left_out_leaves_no_parameter() {
        let columns = columns();
        let mut translator = Translator::new(&columns);
        assert!(translator.translate(&col("id").eq(lit(1_i64)).and(col("name").ilike(lit("x")))).is_none());
        assert_eq!(translator.translate(&col("id").eq(lit(1_i64))).unwrap(), "(\"id\" = $1)");
        assert_eq!(translator.into_parameters().len(), 1);
    }
}
