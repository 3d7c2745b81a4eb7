//! A decision made ready to run over one table.
//!
//! INVARIANT: exists only for an allow of which every obligation can be enforced on the table's columns.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::Expr;

use crate::policy::{Decision, Obligations, Outcome};
use crate::product::FieldName;

use super::error::Obligation;
use super::exclusion::SubjectProbe;
use super::mask::ColumnMask;
use super::{Error, row_filter};

/// What `scan` needs to know of a decision.
#[derive(Debug, Clone)]
pub(super) struct CompiledDecision {
    decision: Arc<Decision>,
    covered: Vec<bool>,
    row_filter: Option<Expr>,
    /// The columns that it reads, in the order of the table.
    filtered_by: Vec<usize>,
    exclusion: Option<(usize, SubjectProbe)>,
    subject: Option<FieldName>,
    masks: Vec<Option<ColumnMask>>,
}

impl CompiledDecision {
    /// Compiles a decision for a table of that schema.
    pub(super) fn new(decision: Arc<Decision>, schema: &Schema) -> Result<Self, Error> {
        let obligations = match &decision.outcome {
            Outcome::Allow(obligations) => obligations,
            Outcome::Deny(reasons) => {
                return Err(Error::Denied { product: decision.product.clone(), reasons: reasons.clone(), decision: decision.id });
            }
        };
        let refuse =
            |field: &FieldName, obligation| Error::Unenforceable { product: decision.product.clone(), field: field.clone(), obligation };
        let row_filter = match &obligations.row_filter {
            filter if filter.is_true() => None,
            filter => Some(row_filter::compile(filter, schema).map_err(|cause| refuse(&cause.0, Obligation::RowFilter))?),
        };
        let read = row_filter.iter().flat_map(Expr::column_refs);
        let mut filtered_by: Vec<usize> = read.filter_map(|column| schema.index_of(&column.name).ok()).collect();
        filtered_by.sort_unstable();
        let exclusion = match &obligations.exclusion {
            None => None,
            Some(exclusion) => {
                let unusable = || refuse(&exclusion.column, Obligation::Exclusion);
                let (index, field) = schema.column_with_name(exclusion.column.as_str()).ok_or_else(unusable)?;
                Some((index, SubjectProbe::new(field, Arc::clone(&exclusion.subjects)).ok_or_else(unusable)?))
            }
        };
        let covered =
            schema.fields().iter().map(|field| decision.fields.iter().any(|name| name.as_str() == field.name())).collect::<Vec<bool>>();
        let masks = compile_masks(obligations, &covered, schema).map_err(|field| refuse(&field, Obligation::Mask))?;
        let subject = obligations.exclusion.as_ref().map(|exclusion| exclusion.column.clone());
        Ok(Self { decision, covered, row_filter, filtered_by, exclusion, subject, masks })
    }

    pub(super) fn decision(&self) -> &Arc<Decision> {
        &self.decision
    }

    /// Fails unless the decision covers the column.
    pub(super) fn require_covered(&self, index: usize, schema: &Schema) -> Result<(), Error> {
        if self.covered.get(index).copied().unwrap_or(false) {
            return Ok(());
        }
        let field = schema.fields().get(index).map_or_else(|| format!("#{index}"), |field| field.name().clone());
        Err(Error::UncoveredField { product: self.decision.product.clone(), field })
    }

    pub(super) fn row_filter(&self) -> Option<&Expr> {
        self.row_filter.as_ref()
    }

    /// The subject column's index, and the probe.
    pub(super) fn exclusion(&self) -> Option<&(usize, SubjectProbe)> {
        self.exclusion.as_ref()
    }

    /// The subject column's name, and the probe.
    pub(super) fn excluded(&self) -> Option<(&str, &SubjectProbe)> {
        Some((self.subject.as_ref()?.as_str(), &self.exclusion.as_ref()?.1))
    }

    pub(super) fn mask(&self, index: usize) -> Option<&ColumnMask> {
        self.masks.get(index)?.as_ref()
    }

    /// The columns whose values hide rows.
    pub(super) fn hiding(&self) -> impl Iterator<Item = usize> {
        self.filtered_by.iter().copied().chain(self.exclusion.as_ref().map(|(subject, _)| *subject))
    }

    /// What hides rows by the values of a column.
    pub(super) fn hides_by(&self, index: usize) -> Option<Obligation> {
        if self.filtered_by.contains(&index) {
            return Some(Obligation::RowFilter);
        }
        self.exclusion.as_ref().is_some_and(|(subject, _)| *subject == index).then_some(Obligation::Exclusion)
    }

    /// What hangs on the values of a column, but for its own mask.
    pub(super) fn tests(&self, index: usize) -> Option<Obligation> {
        if let Some(hides) = self.hides_by(index) {
            return Some(hides);
        }
        let mut others = self.masks.iter().enumerate().filter(|(masked, _)| *masked != index);
        others.any(|(_, mask)| mask.as_ref().is_some_and(|mask| mask.reads().contains(&index))).then_some(Obligation::Mask)
    }

    /// The type of a column that is covered and not masked.
    pub(super) fn unmasked_type(&self, name: &str, schema: &Schema) -> Option<DataType> {
        let (index, field) = schema.column_with_name(name)?;
        let open = self.covered.get(index).copied().unwrap_or(false) && self.mask(index).is_none();
        open.then(|| field.data_type().clone())
    }

    /// Whether rows may be hidden.
    pub(super) fn hides_rows(&self) -> bool {
        self.row_filter.is_some() || self.exclusion.is_some()
    }
}

/// A mask of a column that the statement does not read cannot be wanting: the scan refuses the column anyway.
fn compile_masks(obligations: &Obligations, covered: &[bool], schema: &Schema) -> Result<Vec<Option<ColumnMask>>, FieldName> {
    let mut masks = vec![None; schema.fields().len()];
    for (name, mask) in &obligations.masks {
        let (index, _) = schema.column_with_name(name.as_str()).ok_or_else(|| name.clone())?;
        if !covered.get(index).copied().unwrap_or(false) {
            continue;
        }
        let compiled = ColumnMask::new(mask, index, schema, &obligations.mask_keys).ok_or_else(|| name.clone())?;
        if let Some(slot) = masks.get_mut(index) {
            *slot = Some(compiled);
        }
    }
    Ok(masks)
}
