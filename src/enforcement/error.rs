//! What can go wrong between a plan and its governed rows.

use datafusion::error::DataFusionError;

use crate::error::{ClientError, ErrorNames, SqlState};
use crate::policy::{DecisionId, DenyReason};
use crate::product::{FieldName, ProductRef};

/// Why a plan cannot be governed or a governed table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The decision is a deny.
    #[error("permission denied for data product \"{product}\"")]
    Denied {
        /// The product.
        product: ProductRef,
        /// Why, in public words.
        reasons: Vec<DenyReason>,
        /// The decision.
        decision: DecisionId,
    },
    /// The decision demands what cannot be done to the column's type; the data stays closed.
    #[error("permission denied for data product \"{product}\"")]
    Unenforceable {
        /// The product.
        product: ProductRef,
        /// The field that the obligation is about.
        field: FieldName,
        /// Which kind of obligation.
        obligation: Obligation,
    },
    /// The decision hangs on values of a column in which damage is read as NULL; the data stays closed.
    #[error("permission denied for data product \"{product}\"")]
    Untold {
        /// The product.
        product: ProductRef,
        /// The column.
        field: FieldName,
        /// Which kind of obligation.
        obligation: Obligation,
    },
    /// A table of the plan has no decision.
    #[error("data product \"{product}\" has no decision")]
    Undecided {
        /// The product.
        product: ProductRef,
    },
    /// The plan reads a field that was not part of the request.
    #[error("data product \"{product}\": the decision does not cover field \"{field}\"")]
    UncoveredField {
        /// The product.
        product: ProductRef,
        /// The field.
        field: String,
    },
    /// A column of the source has a name that no field can have.
    #[error("data product \"{product}\" has a column without a usable name")]
    UnusableName {
        /// The product.
        product: ProductRef,
        /// Why.
        #[source]
        source: crate::product::NameError,
    },
    /// The port failed below the barrier.
    #[error("data product \"{product}\" could not be read")]
    Port {
        /// The product.
        product: ProductRef,
        /// Why. Not a `source`: whoever walks or prints a chain of causes must not meet a value of a hidden row.
        cause: PortCause,
    },
    /// A leaf of the physical plan is neither governed nor a system table.
    #[error("the plan reads \"{operator}\" outside the security barrier")]
    Ungoverned {
        /// Name of the operator.
        operator: String,
    },
    /// An invariant of ours broke.
    #[error("internal error: {invariant}")]
    Internal {
        /// Which one.
        invariant: &'static str,
    },
    /// The plan could not be walked or rewritten.
    #[error("the plan could not be governed")]
    Plan(#[from] DataFusionError),
}

/// What a port's own error was. Its text may hold values, so it has no text; look into it to classify, not to print.
pub struct PortCause(Box<DataFusionError>);

impl PortCause {
    pub(super) fn new(cause: DataFusionError) -> Self {
        Self(Box::new(cause))
    }

    /// The error itself.
    pub fn as_error(&self) -> &DataFusionError {
        &self.0
    }
}

impl std::fmt::Debug for PortCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PortCause")
    }
}

/// A kind of obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obligation {
    /// A row filter.
    RowFilter,
    /// An exclusion.
    Exclusion,
    /// A column mask.
    Mask,
}

impl std::fmt::Display for Obligation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RowFilter => "row filter",
            Self::Exclusion => "exclusion",
            Self::Mask => "column mask",
        })
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Plan(source) => source,
            other => Self::External(Box::new(other)),
        }
    }
}

impl ClientError for Error {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Denied { .. } | Self::Unenforceable { .. } | Self::Untold { .. } => SqlState::INSUFFICIENT_PRIVILEGE,
            Self::Port { .. } => SqlState::FDW_ERROR,
            Self::Undecided { .. }
            | Self::UncoveredField { .. }
            | Self::UnusableName { .. }
            | Self::Ungoverned { .. }
            | Self::Internal { .. }
            | Self::Plan(_) => SqlState::INTERNAL_ERROR,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Denied { reasons, .. } => {
                let sentences: Vec<String> = reasons.iter().map(|reason| format!("{} (rule {})", reason.message, reason.rule)).collect();
                Some(sentences.join(" ")).filter(|text| !text.is_empty())
            }
            Self::Unenforceable { field, obligation, .. } => {
                Some(format!("The policy demands a {obligation} on column \"{field}\" that does not fit the column's type."))
            }
            Self::Untold { field, obligation, .. } => {
                Some(format!("The policy demands a {obligation} that hangs on column \"{field}\", whose damaged values are read as NULL."))
            }
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { .. } => Some("The product's owner can tell more.".to_owned()),
            Self::Untold { field, .. } => {
                Some(format!("Mark \"{field}\" as required in the contract, or take \"on_error\" out of the port."))
            }
            _ => None,
        }
    }

    fn names(&self) -> ErrorNames {
        let (product, column) = match self {
            Self::Denied { product, reasons, .. } => {
                (product, reasons.iter().flat_map(|reason| &reason.fields).next().map(|field| field.as_str().to_owned()))
            }
            Self::Unenforceable { product, field, .. } | Self::Untold { product, field, .. } => (product, Some(field.as_str().to_owned())),
            Self::UncoveredField { product, field } => (product, Some(field.clone())),
            Self::Undecided { product } | Self::UnusableName { product, .. } | Self::Port { product, .. } => (product, None),
            Self::Ungoverned { .. } | Self::Internal { .. } | Self::Plan(_) => return ErrorNames::default(),
        };
        ErrorNames { schema: Some(product.domain.to_sql()), table: Some(product.name.to_sql()), column }
    }
}
