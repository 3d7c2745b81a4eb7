//! The language of row filters: small, typed by the column, with SQL's three-valued logic.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::product::FieldName;

use super::{Computed, SubjectSet};

/// A condition over the raw columns of one product. A row is visible only if it is true.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Predicate {
    /// Every row.
    #[default]
    True,
    /// No row.
    False,
    /// Unknown for every row, whatever it holds.
    Unknown,
    /// True; unknown if the column is NULL.
    Present(FieldName),
    /// `column op literal`; unknown if the column is NULL.
    Compare {
        /// Left side.
        column: FieldName,
        /// Operator.
        op: CompareOp,
        /// Right side.
        value: Literal,
    },
    /// `column op column`, both of one type; unknown if one of them is NULL.
    CompareColumns {
        /// Left side.
        left: FieldName,
        /// Operator.
        op: CompareOp,
        /// Right side.
        right: FieldName,
    },
    /// `lower(column)` or `upper(column)` put to a test; unknown if the column is NULL.
    Folded {
        /// The column, text.
        column: FieldName,
        /// Which case it is turned into.
        case: LetterCase,
        /// The test.
        test: TextTest,
    },
    /// Whether the column's value names one of these people; unknown if the column is NULL. The ids stay in their set.
    Member {
        /// The column.
        column: FieldName,
        /// The people.
        set: Arc<SubjectSet>,
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
    /// A test that is worked out row by row.
    Computed(Arc<Computed>),
    /// All of them.
    And(Vec<Predicate>),
    /// Any of them.
    Or(Vec<Predicate>),
    /// The opposite; unknown stays unknown.
    Not(Box<Predicate>),
}

/// Into which case a text is turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterCase {
    /// `lower`
    Lower,
    /// `upper`
    Upper,
}

/// What a text is tested for.
#[derive(Debug, Clone, PartialEq)]
pub enum TextTest {
    /// A comparison by code points.
    Compare(CompareOp, String),
    /// `LIKE` with `%`, `_` and `\`.
    Like(String),
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

    /// Whether it is the same but for the values that columns are compared with.
    pub(super) fn has_form_of(&self, other: &Self) -> bool {
        let alike = |parts: &[Self], others: &[Self]| {
            parts.len() == others.len() && parts.iter().zip(others).all(|(part, other)| part.has_form_of(other))
        };
        match (self, other) {
            (Self::Compare { column, op, value }, Self::Compare { column: other_column, op: other_op, value: other_value }) => {
                let one_kind = std::mem::discriminant(value) == std::mem::discriminant(other_value);
                column == other_column && op == other_op && one_kind
            }
            (Self::And(parts), Self::And(others)) | (Self::Or(parts), Self::Or(others)) => alike(parts, others),
            (Self::Not(inner), Self::Not(other)) => inner.has_form_of(other),
            (Self::Computed(test), Self::Computed(other)) => test.has_form_of(other),
            (one, other) => one == other,
        }
    }

    /// Whether it is what the other has become by that time: instants that columns are compared with have gone on by no more than that.
    pub(super) fn has_drifted_from(&self, earlier: &Self, elapsed: TimeDelta) -> bool {
        let all = |parts: &[Self], before: &[Self]| {
            parts.len() == before.len() && parts.iter().zip(before).all(|(part, before)| part.has_drifted_from(before, elapsed))
        };
        match (self, earlier) {
            (
                Self::Compare { column, op, value: Literal::Instant(now) },
                Self::Compare { column: same_column, op: same_op, value: Literal::Instant(then) },
            ) => column == same_column && op == same_op && (TimeDelta::zero()..=elapsed).contains(&now.signed_duration_since(*then)),
            (Self::And(parts), Self::And(before)) | (Self::Or(parts), Self::Or(before)) => all(parts, before),
            (Self::Not(inner), Self::Not(before)) => inner.has_drifted_from(before, elapsed),
            (now, then) => now == then,
        }
    }

    /// Calls `visit` with every column that the condition reads.
    pub fn visit_columns<'a>(&'a self, visit: &mut impl FnMut(&'a FieldName)) {
        match self {
            Self::True | Self::False | Self::Unknown => {}
            Self::CompareColumns { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Self::Compare { column, .. }
            | Self::Present(column)
            | Self::Folded { column, .. }
            | Self::Member { column, .. }
            | Self::IsNull(column)
            | Self::In { column, .. }
            | Self::Like { column, .. }
            | Self::Matches { column, .. } => visit(column),
            Self::Computed(test) => test.columns().iter().for_each(visit),
            Self::And(all) | Self::Or(all) => all.iter().for_each(|predicate| predicate.visit_columns(visit)),
            Self::Not(inner) => inner.visit_columns(visit),
        }
    }
}

impl CompareOp {
    /// The comparison that is true where this one is false.
    pub fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }

    /// The comparison with its sides exchanged.
    pub fn swapped(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }

    /// Whether it holds for two values in that order.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }

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

impl LetterCase {
    /// Its SQL function.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Upper => "upper",
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
            Self::Unknown => f.write_str("unknown"),
            Self::Present(column) => write!(f, "{} IS NOT NULL", Identifier(column)),
            Self::CompareColumns { left, op, right } => write!(f, "{} {} {}", Identifier(left), op.as_str(), Identifier(right)),
            Self::Folded { column, case, test } => {
                let test = match test {
                    TextTest::Compare(op, _) => op.as_str(),
                    TextTest::Like(_) => "LIKE",
                };
                write!(f, "{}({}) {test} ?", case.as_str(), Identifier(column))
            }
            Self::Member { column, set: _ } => write!(f, "{} IN (erased subjects)", Identifier(column)),
            Self::Compare { column, op, value: _ } => write!(f, "{} {} ?", Identifier(column), op.as_str()),
            Self::IsNull(column) => write!(f, "{} IS NULL", Identifier(column)),
            Self::In { column, values: _ } if f.alternate() => write!(f, "{} IN (…)", Identifier(column)),
            Self::In { column, values } => write!(f, "{} IN (? × {})", Identifier(column), values.len()),
            Self::Like { column, pattern: _ } => write!(f, "{} LIKE ?", Identifier(column)),
            Self::Matches { column, regex: _ } => write!(f, "{} ~ ?", Identifier(column)),
            Self::Computed(test) => write!(f, "{test}"),
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

    #[test]
    fn a_condition_drifts_as_far_as_the_time_that_has_gone_by() {
        let at = |seconds: i64| Literal::Instant(DateTime::from_timestamp(seconds, 0).unwrap());
        let since = |value: Literal| Predicate::Compare { column: FieldName::parse("made").unwrap(), op: CompareOp::Ge, value };
        let whole = |value: Literal| Predicate::And(vec![Predicate::Not(Box::new(since(value))), Predicate::True]);
        let after = |from: &Predicate, to: &Predicate| to.has_drifted_from(from, TimeDelta::seconds(5));
        for (to, drifted) in [(100, true), (103, true), (105, true), (106, false), (99, false)] {
            assert_eq!(after(&since(at(100)), &since(at(to))), drifted, "{to}");
            assert_eq!(after(&whole(at(100)), &whole(at(to))), drifted, "{to}, within");
        }
        assert!(!after(&since(Literal::Int(100)), &since(Literal::Int(101))), "what is no instant is another condition");
        assert!(!after(&since(at(100)), &Predicate::True) && !after(&Predicate::True, &since(at(100))));
        assert!(!after(&Predicate::And(vec![since(at(100))]), &Predicate::And(vec![since(at(100)), Predicate::False])));
    }
}
