//! What holds whatever the rules say: refusals before they are asked, and a second look after they have allowed.
//!
//! The checks here do not repeat the rules; they hold for every bundle. A bundle may change who reads personal data, by
//! `fieldGrants`; it cannot make a harvester's login read, open a restricted port, or hand out personal data by forgetting to deny it.

use std::collections::BTreeSet;

use crate::identity::Principal;
use crate::product::{FieldName, OutputPort, PortAccess, ProductRef};

use super::answer::{AnswerFault, Masks};
use super::contract::{Column, ContractFault};
use super::{DenyReason, Mask, MaskKeys};

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
    /// The question is not as rules may expect it.
    Question,
    /// The statement's clock cannot be expressed.
    Clock,
    /// A mask is computed from a column that the caller may not read.
    MaskReads(FieldName),
    /// A mask needs a secret that the gateway does not have.
    MaskKey(FieldName),
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
            Self::Question => {
                ("guard.request", vec![], format!("the request for data product \"{product}\" cannot be put to the policies"))
            }
            Self::Clock => ("guard.clock", vec![], format!("the time of the request for data product \"{product}\" is out of range")),
            Self::MaskReads(field) => {
                ("guard.mask_reads", vec![field.clone()], format!("a mask of data product \"{product}\" is computed from a masked column"))
            }
            Self::MaskKey(field) => {
                ("guard.mask_key", vec![field.clone()], format!("the secret of a mask of data product \"{product}\" is not configured"))
            }
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
    let read = columns.iter().filter(|column| column.requested || column.feeds_mask);
    let open = read.filter(|column| column.pii && !masks.columns.contains_key(&column.name));
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

/// Whether a requested column is probably masked, told before the rules are asked: as the contract has it for those without the role.
pub(super) fn is_masked_at_a_guess(principal: &Principal, column: &Column) -> bool {
    column.requested && column.mask.is_some() && !principal.has_role(PII_ROLE)
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
        // Without a schema the enforcement finds out.
        let fits = column.data_type.as_ref().is_none_or(|data_type| mask.check(data_type).is_ok());
        let mask = match (fits, column.requested) {
            (true, _) => mask,
            (false, true) => return Err(Refusal::Contract),
            (false, false) => Mask::Null,
        };
        masks.columns.insert(column.name.clone(), mask);
    }
    Ok(())
}

/// Marks the columns that the masks of requested columns are computed from: they are read as they are, and the rules are asked about them
/// like about any other. One that is itself masked for this caller cannot be read so.
pub(super) fn mark_feeding(columns: &mut [Column], masks: &Masks) -> Result<(), Refusal> {
    let computed =
        columns.iter().filter(|column| column.requested).filter_map(|column| Some((&column.name, masks.columns.get(&column.name)?)));
    let mut read: BTreeSet<FieldName> = BTreeSet::new();
    for (own, mask) in computed {
        for name in mask.reads().iter().filter(|name| *name != own) {
            if masks.columns.contains_key(name) {
                return Err(Refusal::MaskReads(name.clone()));
            }
            read.insert(name.clone());
        }
    }
    for column in columns.iter_mut().filter(|column| read.contains(&column.name)) {
        column.feeds_mask = true;
    }
    Ok(())
}

/// The secrets are the gateway's; a mask whose secret is not configured hides nothing and so denies.
pub(super) fn require_keys(columns: &[Column], masks: &Masks, keys: &MaskKeys) -> Result<(), Refusal> {
    let missing = columns.iter().filter(|column| column.requested).find(|column| match masks.columns.get(&column.name) {
        Some(Mask::HmacSha256(key)) => keys.secret(key).is_none(),
        _ => false,
    });
    missing.map_or(Ok(()), |column| Err(Refusal::MaskKey(column.name.clone())))
}
