//! `meshgate export`: the mesh for other catalogues, into a file or to their API.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::audit::During;
use crate::config::{Config, Reference};
use crate::export::{self, Proposal};
use crate::lineage::Observed;
use crate::server::feed::secret;
use crate::server::load;
use crate::source::{HttpClient, HttpOptions, shown_url};

use super::Outcome;
use super::lineage::observed;

/// The longest that one proposal may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Where DataHub takes proposals.
const INGEST: &str = "aspects?action=ingestProposal";

/// What `export datahub` is asked for.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The file to write; without it and an address, the standard output.
    pub file: Option<PathBuf>,
    /// The address of a server.
    pub to: Option<String>,
    /// Where its token is (`env:NAME`, `file:PATH`).
    pub token: Option<String>,
    /// Observed lineage from then on.
    pub since: Option<DateTime<Utc>>,
    /// The moment of the change.
    pub now: DateTime<Utc>,
}

/// `meshgate export datahub`: everything, in one go.
pub fn export_datahub(config: &Config, options: &ExportOptions, out: &mut dyn Write) -> Outcome {
    let snapshot = load::catalog(config)?;
    let during = During { from: options.since.unwrap_or(During::default().from), ..During::default() };
    // A mesh in which nothing has been asked yet has no log.
    let observed = if config.audit.folder.exists() { observed(config, during)? } else { Observed::default() };
    let proposals = export::datahub(&snapshot, &observed, options.now);
    if let Some(server) = &options.to {
        send(server, options.token.as_deref(), &proposals)?;
        writeln!(out, "{} aspects were taken by {}", proposals.len(), shown_url(server))?;
        return Ok(true);
    }
    let all: Vec<Value> = proposals.iter().map(Proposal::to_json).collect();
    let mut text = serde_json::to_string_pretty(&all)?;
    text.push('\n');
    match &options.file {
        Some(file) => {
            std::fs::write(file, text).context("the file cannot be written")?;
            writeln!(out, "{} aspects in {}", all.len(), file.display())?;
        }
        None => out.write_all(text.as_bytes())?,
    }
    Ok(true)
}

/// One proposal after the other, for later ones name what earlier ones make. The first that is refused ends it.
fn send(server: &str, token: Option<&str>, proposals: &[Proposal]) -> anyhow::Result<()> {
    let token = token.map(|text| Reference::parse(text).context("--token is neither env:NAME nor file:PATH")).transpose()?;
    let bearer = token.as_ref().map(secret).transpose().map_err(anyhow::Error::msg)?;
    let mut headers = vec![("x-restli-protocol-version".to_owned(), "2.0.0".to_owned())];
    headers.extend(bearer.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
    let options = HttpOptions { timeout: TIMEOUT, bytes_max: ANSWER_BYTES_MAX, redirects_max: 0, authorities: None };
    let client = HttpClient::new(&format!("{}/{INGEST}", server.trim_end_matches('/')), &options)?;
    for (number, proposal) in proposals.iter().enumerate() {
        let sent = client.post_json(&headers, proposal.to_rest().to_string().as_bytes());
        sent.with_context(|| format!("aspect {} of {} was not taken after {number} others", proposal.aspect, proposal.urn))?;
    }
    Ok(())
}
