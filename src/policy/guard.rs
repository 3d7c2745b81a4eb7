//! What holds whatever the rules say: refusals before they are asked, and a second look after they have allowed.
//!
//! The checks here do not repeat the rules; they hold for every bundle. A bundle may change who reads personal data, by
//! `fieldGrants`; it cannot make a harvester's login read, open a restricted port, or hand out personal data by forgetting to deny it.

use std::collections::BTreeSet;

use crate::identity::Principal;
use crate::product::{DataType, FieldName, OutputPort, PortAccess, ProductRef};

use super::answer::{AnswerFault, Masks};
use super::contract::{Column, ContractFault};
use super::expression::{is_instant, is_text};
use super::{DenyReason, Mask};

/// The role that reads personal data where the bundle does not say who does.
const PII_ROLE: &str = "pii_authorized";

/// Why a request is refused by the guard itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not in the catalog that this decision point was built for.
    UnknownProduct,
    /// Not a port of the product.
    UnknownPort,
    /// Not a field of the product.
    UnknownField(FieldName),
    /// The contract protects something that does not exist or cannot be enforced.
    Contract,
    /// The bundle has to have the product's own package and has not.
    NoProductPackage,
    /// The statement's clock cannot be expressed.
    Clock,
    /// The rules gave no usable answer.
    Answer(AnswerFault),
}

impl From<ContractFault> for Refusal {
    fn from(fault: ContractFault) -> Self {
        match fault {
            ContractFault::UnknownField(field) => Self::UnknownField(field),
            ContractFault::Unenforceable => Self::Contract,
        }
    }
}

impl Refusal {
    /// The reason that the caller sees.
    pub(super) fn reason(&self, product: &ProductRef) -> DenyReason {
        let (rule, fields, message) = match self {
            Self::UnknownProduct => {
                ("guard.unknown_product", vec![], format!("data product \"{product}\" is not governed by this catalog"))
            }
            Self::UnknownPort => ("guard.unknown_port", vec![], format!("data product \"{product}\" has no such output port")),
            Self::UnknownField(field) => {
                ("guard.unknown_field", vec![field.clone()], format!("data product \"{product}\" has no column \"{field}\""))
            }
            Self::Contract => ("guard.contract", vec![], format!("the contract of data product \"{product}\" cannot be enforced")),
            Self::NoProductPackage => {
                ("guard.no_product_package", vec![], format!("the policy that data product \"{product}\" names is not loaded"))
            }
            Self::Clock => ("guard.clock", vec![], format!("the time of the request for data product \"{product}\" is out of range")),
            Self::Answer(fault) => (fault.rule(), vec![], format!("the policies gave no usable answer on data product \"{product}\"")),
        };
        DenyReason { rule: rule.to_owned(), fields, message }
    }
}

/// The fixed public sentence for a reason of the rules'.
pub(super) fn public_message(rule: &str, fields: &[FieldName], columns: &[Column], port: &OutputPort, product: &ProductRef) -> String {
    let personal = |field: &FieldName| columns.iter().any(|column| column.pii && &column.name == field);
    let names: Vec<String> = fields.iter().map(|field| format!("\"{field}\"")).collect();
    let names = names.join(", ");
    match (rule.rsplit('.').next().unwrap_or(rule), fields.len()) {
        (_, 1) if fields.iter().all(personal) => format!("column {names} of data product \"{product}\" is personal data"),
        (_, 2..) if fields.iter().all(personal) => format!("columns {names} of data product \"{product}\" are personal data"),
        (_, 1) => format!("column {names} of data product \"{product}\" may not be read"),
        (_, 2..) => format!("columns {names} of data product \"{product}\" may not be read"),
        ("metadata_only", 0) => format!("this login may describe data product \"{product}\" but read no row"),
        ("restricted_port", 0) => format!("output port \"{}\" of data product \"{product}\" is restricted", port.name),
        ("retention_missing", 0) => format!("data product \"{product}\" is restricted and has no retention period"),
        (_, 0) => format!("the policies do not allow reading data product \"{product}\""),
    }
}

/// What the rules must have denied. Reasons are only added for what they have not covered.
pub(super) fn confirm(
    principal: &Principal,
    port: &OutputPort,
    product: &ProductRef,
    columns: &[Column],
    masks: &Masks,
    denied: &mut Vec<DenyReason>,
) {
    let reason = |rule: &str, fields: Vec<FieldName>| {
        let message = public_message(rule, &fields, columns, port, product);
        DenyReason { rule: rule.to_owned(), fields, message }
    };
    let covered: BTreeSet<FieldName> = denied.iter().flat_map(|reason| reason.fields.iter().cloned()).collect();
    let open = columns.iter().filter(|column| column.requested && column.pii && !masks.columns.contains_key(&column.name));
    let open = open.filter(|column| !granted(principal, masks, column) && !covered.contains(&column.name));
    let open: Vec<FieldName> = open.map(|column| column.name.clone()).collect();
    if !open.is_empty() {
        denied.push(reason("guard.pii", open));
    }
    if !denied.is_empty() {
        return;
    }
    if principal.reads_metadata_only() {
        denied.push(reason("guard.metadata_only", vec![]));
    }
    let domain_role = format!("restricted:{}", product.domain);
    if port.access != PortAccess::Open && !principal.has_role("restricted") && !principal.has_role(&domain_role) {
        denied.push(reason("guard.restricted_port", vec![]));
    }
}

/// Whether a protected column may be read as it is.
pub(super) fn granted(principal: &Principal, masks: &Masks, column: &Column) -> bool {
    match &masks.grants {
        Some(grants) => grants.contains(column.name.as_str()),
        None => principal.has_role(PII_ROLE),
    }
}

/// Adds the contract's masks where the rules have neither masked nor granted, and makes every mask one that its column can have.
pub(super) fn complete_masks(principal: &Principal, columns: &[Column], masks: &mut Masks) -> Result<(), Refusal> {
    for column in columns {
        let demanded = column.mask.as_ref().filter(|_| !granted(principal, masks, column));
        let Some(mask) = masks.columns.get(&column.name).or(demanded).cloned() else { continue };
        let mask = match (fits(&mask, column.data_type.as_ref()), column.requested) {
            (true, _) => mask,
            (false, true) => return Err(Refusal::Contract),
            (false, false) => Mask::Null,
        };
        masks.columns.insert(column.name.clone(), mask);
    }
    Ok(())
}

/// Whether a mask keeps the type of a column. Without a schema the enforcement finds out.
fn fits(mask: &Mask, data_type: Option<&DataType>) -> bool {
    let Some(data_type) = data_type else { return true };
    match mask {
        Mask::Null | Mask::Redact => true,
        Mask::ShowLast4 | Mask::MaskAlphanum | Mask::Sha256Global => is_text(data_type),
        Mask::TruncateToYear | Mask::TruncateToMonth => is_instant(data_type),
    }
}
