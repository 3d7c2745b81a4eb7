//! `stores`: the object stores that contracts may name.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::Faults;

/// One of `stores`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// What locations of contracts begin with: s3://bucket/prefix, gs://bucket, az://container, https://host:port/path.
    pub location: String,
    /// The address of the service, if it is not the cloud's own: http://127.0.0.1:9000.
    pub endpoint: Option<String>,
    /// The region of a bucket of S3; us-east-1 if not given.
    pub region: Option<String>,
    /// The storage account of a container of Azure.
    pub account: Option<String>,
    /// Who asks where a contract refers to no credentials.
    #[serde(default)]
    pub identity: StoreIdentity,
    /// PEM file of the authorities whose certificates are believed, in place of the public ones.
    pub authorities: Option<String>,
}

/// Who asks where a contract refers to no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreIdentity {
    /// Nobody: requests are not signed.
    #[default]
    Nobody,
    /// The machine or container, by its metadata service.
    Instance,
    /// The workload, by a token in a file that the environment names.
    WebIdentity,
}

/// One of `stores`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// What locations of contracts begin with.
    pub location: String,
    /// The address of the service, if it is not the cloud's own.
    pub endpoint: Option<String>,
    /// The region of a bucket of S3.
    pub region: Option<String>,
    /// The storage account of a container of Azure.
    pub account: Option<String>,
    /// Who asks where a contract refers to no credentials.
    pub identity: StoreIdentity,
    /// PEM file of the authorities whose certificates are believed; without it the public ones.
    pub authorities: Option<PathBuf>,
}

/// Reads the list; what is wrong goes to the faults.
pub(super) fn stores(specs: Vec<StoreSpec>, folder: &Path, faults: &mut Faults<'_>) -> Vec<Store> {
    let mut seen: Vec<String> = Vec::new();
    let mut stores = Vec::with_capacity(specs.len());
    for (index, spec) in specs.into_iter().enumerate() {
        let at = format!("/stores/{index}");
        check(&spec, &at, faults);
        let location = spec.location.trim_end_matches('/').to_owned();
        if seen.contains(&location) {
            faults.add(&format!("{at}/location"), "a location of \"stores\" is given twice");
        }
        seen.push(location.clone());
        stores.push(Store {
            location,
            endpoint: spec.endpoint,
            region: spec.region,
            account: spec.account,
            identity: spec.identity,
            authorities: spec.authorities.map(|path| folder.join(path)),
        });
    }
    stores
}

fn check(spec: &StoreSpec, at: &str, faults: &mut Faults<'_>) {
    const HINT: &str = "Write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or https://host:port/path.";
    let (scheme, rest) = spec.location.split_once("://").unwrap_or_default();
    let web = matches!(scheme, "http" | "https");
    let name = rest.split('/').next().unwrap_or_default();
    if !(web || matches!(scheme, "s3" | "gs" | "az")) || name.is_empty() || rest.contains(['@', '?', '#', '*']) || rest.contains("..") {
        faults.add_with_hint(&format!("{at}/location"), "\"location\" names no object store", HINT);
        return;
    }
    let mut unused = |key: &str, given: bool, means: bool| {
        if given && !means {
            faults.add(&format!("{at}/{key}"), format!("\"{key}\" means nothing for {scheme}://"));
        }
    };
    unused("endpoint", spec.endpoint.is_some(), !web);
    unused("region", spec.region.is_some(), scheme == "s3");
    unused("account", spec.account.is_some(), scheme == "az");
    unused("identity", spec.identity != StoreIdentity::Nobody, !web);
    unused("identity", spec.identity == StoreIdentity::WebIdentity, scheme != "gs");
    if scheme == "az" && spec.account.as_deref().is_none_or(str::is_empty) {
        faults.add_with_hint(at, "the key \"account\" is missing", "Name the storage account of the container.");
    }
    let is_address = |text: &str| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
        !host.is_empty() && !host.contains(['@', '?', '#'])
    };
    if spec.endpoint.as_deref().is_some_and(|endpoint| !is_address(endpoint)) {
        faults.add_with_hint(&format!("{at}/endpoint"), "\"endpoint\" is no address", "Write https://host or http://host:port.");
    }
}
