//! The language of row filters: small, typed by the column, with SQL's three-valued logic.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::product::FieldName;

/// A condition over the raw columns of one product. A row is visible only if it is true.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Predicate {
    /// Every row.
    #[default]
    True,
    /// No row.
    False,
    /// `column op literal`; unknown if the column is NULL.
    Compare {
        /// Left side.
        column: FieldName,
        /// Operator.
        op: CompareOp,
        /// Right side.
        value: Literal,
    },
    /// `column IS NULL`
    IsNull(FieldName),
    /// `column IN (…)`; unknown if the column is NULL.
    In {
        /// Left side.
        column: FieldName,
        /// The list.
        values: Vec<Literal>,
    },
    /// `column LIKE pattern` with `%`, `_` and `\`.
    Like {
        /// Left side, text.
        column: FieldName,
        /// The pattern.
        pattern: String,
    },
    /// `column ~ regex`, unanchored.
    Matches {
        /// Left side, text.
        column: FieldName,
        /// The regular expression (syntax of the `regex` crate).
        regex: String,
    },
    /// All of them.
    And(Vec<Predicate>),
    /// Any of them.
    Or(Vec<Predicate>),
    /// The opposite; unknown stays unknown.
    Not(Box<Predicate>),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// A constant; it is converted to the column's type when the filter is compiled, or the decision cannot be enforced.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    String(String),
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// An instant; a `date` column is compared with its UTC day, a `timestamp` column with its UTC time.
    Instant(DateTime<Utc>),
}

impl Predicate {
    /// Whether every row passes without being looked at.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }

    /// Calls `visit` with every column that the condition reads.
    pub fn visit_columns<'a>(&'a self, visit: &mut impl FnMut(&'a FieldName)) {
        match self {
            Self::True | Self::False => {}
            Self::Compare { column, .. }
            | Self::IsNull(column)
            | Self::In { column, .. }
            | Self::Like { column, .. }
            | Self::Matches { column, .. } => visit(column),
            Self::And(all) | Self::Or(all) => all.iter().for_each(|predicate| predicate.visit_columns(visit)),
            Self::Not(inner) => inner.visit_columns(visit),
        }
    }
}

impl CompareOp {
    /// Its SQL spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

impl fmt::Display for Predicate {
    /// The condition without its literals, for the audit log: `created_at >= ?`. The alternate form (`{:#}`), for the caller, does not
    /// tell how many there are either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::True => f.write_str("true"),
            Self::False => f.write_str("false"),
            Self::Compare { column, op, value: _ } => write!(f, "{} {} ?", Identifier(column), op.as_str()),
            Self::IsNull(column) => write!(f, "{} IS NULL", Identifier(column)),
            Self::In { column, values: _ } if f.alternate() => write!(f, "{} IN (…)", Identifier(column)),
            Self::In { column, values } => write!(f, "{} IN (? × {})", Identifier(column), values.len()),
            Self::Like { column, pattern: _ } => write!(f, "{} LIKE ?", Identifier(column)),
            Self::Matches { column, regex: _ } => write!(f, "{} ~ ?", Identifier(column)),
            Self::And(all) => write_joined(f, all, " AND "),
            Self::Or(all) => write_joined(f, all, " OR "),
            Self::Not(inner) if f.alternate() => write!(f, "NOT ({inner:#})"),
            Self::Not(inner) => write!(f, "NOT ({inner})"),
        }
    }
}

struct Identifier<'a>(&'a FieldName);

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_str();
        if name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            f.write_str(name)
        } else {
            write!(f, "\"{name}\"")
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Predicate], word: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        let joined = matches!(part, Predicate::And(_) | Predicate::Or(_));
        match (joined, f.alternate()) {
            (true, true) => write!(f, "({part:#})")?,
            (true, false) => write!(f, "({part})")?,
            (false, true) => write!(f, "{part:#}")?,
            (false, false) => write!(f, "{part}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_for_the_caller_does_not_tell_how_many_literals_there_are() {
        let column = FieldName::parse("region").unwrap();
        let values = vec![Literal::String("EU".to_owned()), Literal::String("US".to_owned())];
        let listed = Predicate::Not(Box::new(Predicate::In { column: column.clone(), values }));
        let condition = Predicate::And(vec![Predicate::Or(vec![listed, Predicate::IsNull(column)]), Predicate::False]);
        assert_eq!(condition.to_string(), "(NOT (region IN (? × 2)) OR region IS NULL) AND false");
        assert_eq!(format!("{condition:#}"), "(NOT (region IN (…)) OR region IS NULL) AND false");
    }
}
