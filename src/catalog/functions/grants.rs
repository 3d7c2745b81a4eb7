//! Privileges made by hand: `makeaclitem`.

use std::sync::Arc;

use arrow::datatypes::DataType::Utf8;
use datafusion::error::DataFusionError;

use crate::catalog::acl;
use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Bool, Object, Text};
use super::{Function, bool_of, client, oid_of, text_of};

pub(super) fn all(facts: &Arc<SessionFacts>) -> Vec<Function> {
    let known = Arc::clone(facts);
    let make = Function::new("makeaclitem", &[Object, Object, Text, Bool], Utf8, move |values| {
        let role = |index| oid_of(values, index).map(|oid| role(&known, oid)).unwrap_or_default();
        let names = text_of(values, 2).split(',').map(str::trim);
        let letters = acl::letters(names, bool_of(values, 3)).map_err(unrecognized)?;
        Ok(Value::Text(acl::item(&role(0), &letters, &role(1))))
    });
    vec![make.typed("aclitem")]
}

/// The name of a role; 0 is everybody, who has none.
fn role(facts: &SessionFacts, oid: u32) -> String {
    match oid {
        0 => String::new(),
        oid => facts.role_name(oid).map_or_else(|| oid.to_string(), str::to_owned),
    }
}

/// The refusal of a privilege that there is not.
pub(super) fn unrecognized(name: &str) -> DataFusionError {
    client(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized privilege type: \"{name}\"")))
}
