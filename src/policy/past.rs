//! A question as it was recorded, asked again.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::identity::Principal;
use crate::product::{FieldName, PortName, Product};

use super::{AccessRequest, FieldUse, RequestContext, RequestedField};

const USES: [FieldUse; 6] =
    [FieldUse::Projected, FieldUse::Filtered, FieldUse::Joined, FieldUse::Grouped, FieldUse::Sorted, FieldUse::Aggregated];

impl AccessRequest {
    /// The request that a recorded `input` was made of, on the product as it is now. `None` if it does not tell who asked what.
    pub fn recorded(input: &Value, product: &Arc<Product>, port: PortName) -> Option<Self> {
        let subject = &input["subject"];
        let principal = Principal {
            product: None,
            name: subject["user"].as_str()?.to_owned(),
            roles: texts(&subject["roles"])?,
            groups: texts(&subject["groups"])?,
            is_data_steward: subject["is_data_steward"].as_bool()?,
            attributes: subject["attributes"].as_object()?.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        };
        let context = &input["context"];
        let client_address = context["client_address"].as_str().and_then(|text| text.parse::<IpAddr>().ok());
        Some(Self {
            principal: Arc::new(principal),
            purpose: subject["purpose"].as_str().map(str::to_owned),
            product: Arc::clone(product),
            port,
            fields: fields(&input["resource"])?,
            context: RequestContext {
                query_id: context["query_id"].as_str()?.to_owned(),
                now: DateTime::<Utc>::from_timestamp_nanos(context["now_ns"].as_i64()?),
                application_name: context["application_name"].as_str()?.to_owned(),
                client_address: client_address.map(|address| SocketAddr::new(address, 0)),
            },
        })
    }
}

/// What was asked for, masked or not, with its uses if the record has them.
fn fields(resource: &Value) -> Option<Vec<RequestedField>> {
    let mut asked = texts(&resource["requested_fields"])?;
    asked.extend(texts(&resource["masked_fields"]).unwrap_or_default());
    let columns = resource["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
    let position = |name: &str| columns.iter().position(|column| column["name"] == name);
    let fields = asked.iter().map(|name| {
        let usage = position(name).and_then(|index| columns.get(index)).and_then(|column| column["usage"].as_array());
        let used = |field_use: &FieldUse| usage.is_some_and(|usage| usage.iter().any(|word| word == field_use.as_str()));
        Some(RequestedField { name: FieldName::parse(name).ok()?, uses: USES.into_iter().filter(used).collect() })
    });
    let mut fields = fields.collect::<Option<Vec<_>>>()?;
    fields.sort_by_key(|field| position(field.name.as_str()));
    Some(fields)
}

fn texts(value: &Value) -> Option<BTreeSet<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
