//! Where heads of the audit log and lineage events are kept: addresses and credentials as an operator writes them.

use std::path::{Path, PathBuf};

use crate::document::Faults;

use super::origin::{Reference, reference};
use super::spec::{HeadObjectsSpec, HeadsSpec, LineageSpec};
use super::{HeadObjects, Heads, Lineage};

/// `audit.heads`.
pub(super) fn heads(spec: HeadsSpec, file: Option<PathBuf>, folder: &Path, faults: &mut Faults<'_>) -> Option<Heads> {
    if file.is_none() && spec.webhook.is_none() && spec.objects.is_none() {
        let hint = "Give it a \"file\", a \"webhook\", \"objects\", or several of them.";
        faults.add_with_hint("/audit/heads", "\"heads\" says nowhere to keep them", hint);
    }
    let key = credential("/audit/heads/key", "key", &spec.key, folder, faults);
    let token = spec.token.and_then(|text| credential("/audit/heads/token", "token", &text, folder, faults));
    let webhook = spec.webhook.inspect(|text| address("/audit/heads/webhook", "webhook", text, faults));
    // What has a fault is told, and nothing is started.
    let objects = spec.objects.and_then(|spec| objects(spec, folder, faults));
    Some(Heads { key: key?, file, webhook, token, objects, interval_ms: spec.interval_ms })
}

/// `audit.heads.objects`.
fn objects(spec: HeadObjectsSpec, folder: &Path, faults: &mut Faults<'_>) -> Option<HeadObjects> {
    if let Some(endpoint) = &spec.endpoint {
        address("/audit/heads/objects/endpoint", "endpoint", endpoint, faults);
    }
    let place = spec.location.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    if place.is_none_or(|(bucket, prefix)| bucket.is_empty() || prefix.trim_matches('/').is_empty()) {
        let hint = "Write s3://bucket/prefix.";
        faults.add_with_hint("/audit/heads/objects/location", "\"location\" is no place in an S3 store", hint);
    }
    let credentials = credential("/audit/heads/objects/credentials", "credentials", &spec.credentials, folder, faults)?;
    let authorities = spec.authorities.map(|text| folder.join(text));
    Some(HeadObjects { location: spec.location, region: spec.region, endpoint: spec.endpoint, credentials, authorities })
}

/// `lineage`.
pub(super) fn lineage(spec: LineageSpec, file: Option<PathBuf>, folder: &Path, faults: &mut Faults<'_>) -> Lineage {
    let token = spec.token.and_then(|text| credential("/lineage/token", "token", &text, folder, faults));
    let url = spec.url.inspect(|text| address("/lineage/url", "url", text, faults));
    Lineage { file, url, token, console: spec.console, namespace: spec.namespace }
}

fn credential(at: &str, key: &str, text: &str, folder: &Path, faults: &mut Faults<'_>) -> Option<Reference> {
    let found = reference(text, folder);
    if found.is_none() {
        let hint = "The secret itself does not belong into the file.";
        faults.add_with_hint(at, format!("\"{key}\" is neither env:NAME nor file:PATH"), hint);
    }
    found
}

fn address(at: &str, key: &str, text: &str, faults: &mut Faults<'_>) {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let sound = rest.is_some_and(|rest| !rest.is_empty() && !rest.chars().any(|c| c.is_control() || c.is_whitespace()));
    // A login in an address would stand in the file, and in errors.
    if !sound || rest.is_some_and(|rest| rest.split('/').next().is_some_and(|server| server.contains('@'))) {
        faults.add_with_hint(at, format!("\"{key}\" is no address"), "Write http://host:port/path or https://host/path, without a login.");
    }
}
