//! What a product's contract means to the policies: which columns are protected, how long records may be read, whose package is asked.
//!
//! Names in `governance` match columns whatever their case: a column that might be meant is protected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::product::{DataType, DomainName, FieldName, PiiAction, Product};

use super::bundle::package_of_policy;
use super::input::Standard;
use super::{AccessRequest, FieldUse, Mask};

/// The classifications that the policies know; any other word counts as the strictest.
const CLASSIFICATIONS: [&str; 4] = ["public", "internal", "confidential", "restricted"];

/// A contract, read once per catalog snapshot.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) product: Arc<Product>,
    /// Lower case and known.
    pub(super) classification: &'static str,
    /// How long records may be read: the contract's own period, else the domain's.
    pub(super) retention: Option<Retention>,
    /// The product's own package.
    pub(super) package: ProductPackage,
    pii: BTreeSet<String>,
    masks: BTreeMap<String, Mask>,
    /// Whether the columns that it lists have all that it protects.
    enforceable: bool,
    /// What questions about it have in common.
    pub(super) standard: Standard,
}

/// A period and the column that it is counted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retention {
    pub(super) days: u32,
    /// Without it the period cannot be enforced.
    pub(super) column: Option<FieldName>,
}

/// What `governance.access_policy` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProductPackage {
    /// Nothing.
    None,
    /// This package.
    Named(String),
    /// Something that is no reference to a package.
    Unreadable,
}

/// A column of the product, as one request meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: FieldName,
    /// `None` if the contract has no schema.
    pub(super) data_type: Option<DataType>,
    pub(super) classification: Option<String>,
    pub(super) pii: bool,
    /// The mask that the contract demands, unless the column is granted.
    pub(super) mask: Option<Mask>,
    /// Empty unless requested.
    pub(super) uses: Vec<FieldUse>,
    pub(super) requested: bool,
    /// Whether the mask of a requested column is computed from it.
    pub(super) feeds_mask: bool,
}

/// Why a request cannot be held against a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContractFault {
    /// Not a field of the product.
    UnknownField(FieldName),
    /// The contract protects something that does not exist.
    Unenforceable,
}

impl Contract {
    /// Reads a product's contract; `domain_retention` holds the periods of the domains.
    pub(super) fn new(product: &Arc<Product>, domain_retention: &BTreeMap<DomainName, u32>) -> Self {
        let governance = &product.governance;
        let classification = normal_classification(&governance.data_classification);
        let column = governance.retention_column.clone();
        let own = governance.retention_days.map(|days| Retention { days, column: column.clone() });
        // A domain's default cannot bind a product without dates, such as a list of carriers, unless the product is restricted.
        let inherited = domain_retention
            .get(&product.reference.domain)
            .map(|days| Retention { days: *days, column })
            .filter(|retention| retention.column.is_some() || classification == "restricted");
        let package = match governance.access_policy.as_deref() {
            None => ProductPackage::None,
            Some(reference) => package_of_policy(reference).map_or(ProductPackage::Unreadable, ProductPackage::Named),
        };
        let mut contract = Self {
            product: Arc::clone(product),
            classification,
            retention: own.or(inherited),
            package,
            pii: governance.pii_fields.iter().map(folded).collect(),
            masks: governance.masks.iter().map(|(field, mask)| (folded(field), mask.clone())).collect(),
            enforceable: false,
            standard: Standard::default(),
        };
        let listed = contract.columns_of_schema().unwrap_or_default();
        contract.enforceable = contract.protects_nothing_else(&listed);
        contract.standard = Standard::new(&contract, listed.len());
        contract
    }

    /// The columns that the contract lists, if it does.
    fn columns_of_schema(&self) -> Option<Vec<Column>> {
        let schema = self.product.schema.as_deref()?.iter();
        Some(schema.map(|field| self.column(&field.name, Some(&field.data_type), field.classification.as_deref())).collect())
    }

    /// The product's columns with what the request does to them. A field that is not the product's is refused, as is a contract that
    /// protects what the product does not have: nobody knows then what it meant to protect.
    pub(super) fn columns(&self, request: &AccessRequest) -> Result<Vec<Column>, ContractFault> {
        let mut columns = self.columns_of_schema().unwrap_or_else(|| self.columns_without_schema(request));
        for field in &request.fields {
            let found = position(&columns, &field.name).ok_or_else(|| ContractFault::UnknownField(field.name.clone()))?;
            if let Some(column) = columns.get_mut(found) {
                column.requested = true;
                column.uses.extend(&field.uses);
                column.uses.sort_unstable();
                column.uses.dedup();
            }
        }
        let enforceable = if self.product.schema.is_some() { self.enforceable } else { self.protects_nothing_else(&columns) };
        if enforceable { Ok(columns) } else { Err(ContractFault::Unenforceable) }
    }

    /// Whether these columns have all that the contract protects.
    fn protects_nothing_else(&self, columns: &[Column]) -> bool {
        let known: BTreeSet<String> = columns.iter().map(|column| folded(&column.name)).collect();
        let governance = &self.product.governance;
        let located = [&governance.retention_column, &governance.subject_column].into_iter().flatten().map(folded);
        self.pii.iter().chain(self.masks.keys()).cloned().chain(located).all(|name| known.contains(&name))
    }

    /// The column that the contract means by that name.
    pub(super) fn resolve(columns: &[Column], name: &FieldName) -> Result<FieldName, ContractFault> {
        let found = position(columns, name).and_then(|found| columns.get(found));
        found.map(|column| column.name.clone()).ok_or(ContractFault::Unenforceable)
    }

    fn column(&self, name: &FieldName, data_type: Option<&DataType>, classification: Option<&str>) -> Column {
        let key = folded(name);
        let pii = self.pii.contains(&key);
        let written = self.masks.get(&key).cloned();
        let mask = match (pii, self.product.governance.pii_action) {
            // Personal data of such a product is refused, not masked.
            (true, PiiAction::Deny) => None,
            (true, PiiAction::Mask) => Some(written.unwrap_or(Mask::Null)),
            (false, _) => written,
        };
        Column {
            name: name.clone(),
            data_type: data_type.cloned(),
            classification: classification.map(str::to_lowercase),
            pii,
            mask,
            uses: Vec::new(),
            requested: false,
            feeds_mask: false,
        }
    }

    /// The requested fields carry the source's own names; what the contract names beyond them is taken at its word.
    fn columns_without_schema(&self, request: &AccessRequest) -> Vec<Column> {
        let governance = &self.product.governance;
        let mut columns: Vec<Column> = Vec::new();
        // `*` would be the name of no column and match no rule.
        for field in request.fields.iter().filter(|field| field.name.as_str() != "*") {
            if !columns.iter().any(|column| column.name == field.name) {
                columns.push(self.column(&field.name, None, None));
            }
        }
        let named = governance.pii_fields.iter().chain(governance.masks.iter().map(|(field, _)| field));
        let named = named.chain(&governance.retention_column).chain(&governance.subject_column);
        for name in named {
            if !columns.iter().any(|column| folded(&column.name) == folded(name)) {
                columns.push(self.column(name, None, None));
            }
        }
        columns
    }
}

/// The column of exactly that name, else the only one that differs in nothing but case.
fn position(columns: &[Column], name: &FieldName) -> Option<usize> {
    if let Some(exact) = columns.iter().position(|column| &column.name == name) {
        return Some(exact);
    }
    let wanted = folded(name);
    let mut alike = columns.iter().enumerate().filter(|(_, column)| folded(&column.name) == wanted).map(|(index, _)| index);
    let first = alike.next()?;
    alike.next().is_none().then_some(first)
}

fn folded(name: &FieldName) -> String {
    name.as_str().to_lowercase()
}

fn normal_classification(text: &str) -> &'static str {
    let plain = text.trim().to_lowercase();
    CLASSIFICATIONS.into_iter().find(|known| *known == plain).unwrap_or("restricted")
}
