//! Asks an HTTP(S) address for a document, if it has changed.
//!
//! INVARIANT: a connection that began encrypted stays so over every redirect, a credential goes to no other host, and an answer is held to
//! its limit while it arrives. Blocking: callers run it off the threads that serve.

use std::sync::Arc;
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::{StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::WithBody;
use ureq::{Agent, Error, RequestBuilder};

use super::FetchError;

/// How an address is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The whole exchange, redirects and body included.
    pub timeout: Duration,
    /// The longest answer.
    pub bytes_max: u64,
    /// Redirects that are followed.
    pub redirects_max: u32,
    /// The authorities that a certificate may come from (PEM) in place of the public ones.
    pub authorities: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The document is the one of the tag that was sent.
    Unchanged,
    /// A document.
    Document {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What the server calls this state of it.
        tag: Option<String>,
    },
}

/// Asks one address again and again over connections that it keeps.
#[derive(Debug, Clone)]
pub struct HttpClient {
    agent: Agent,
    url: String,
    bytes_max: u64,
}

impl HttpClient {
    /// A client of that address; nothing is asked yet.
    ///
    /// # Errors
    /// The authorities are no certificates.
    pub fn new(url: &str, options: &HttpOptions) -> Result<Self, FetchError> {
        let roots = match &options.authorities {
            Some(pem) => authorities(pem)?,
            None => RootCerts::WebPki,
        };
        let tls = TlsConfig::builder().root_certs(roots).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .https_only(is_encrypted(url))
            // Where documents come from is the configuration's word, not the environment's.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(options.redirects_max)
            .max_redirects_will_error(true)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_global(Some(options.timeout))
            .user_agent(concat!("meshgate/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.new_agent(), url: url.to_owned(), bytes_max: options.bytes_max })
    }

    /// Asks for the document, if it is not the one of that tag.
    ///
    /// # Errors
    /// No usable answer, in words without a credential.
    pub fn get(&self, headers: &[(String, String)], tag: Option<&str>) -> Result<Fetched, FetchError> {
        let mut request = self.agent.get(&self.url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let mut response = request.call().map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::NOT_MODIFIED if tag.is_some() => return Ok(Fetched::Unchanged),
            StatusCode::OK => {}
            other => return Err(FetchError::Status(other.as_u16())),
        }
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        // One byte more than allowed tells that there are more.
        let body = response.body_mut().with_config().limit(self.bytes_max.saturating_add(1)).read_to_vec();
        let bytes = body.map_err(|error| self.unreachable(&error))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > self.bytes_max {
            return Err(FetchError::TooLong(self.bytes_max));
        }
        Ok(Fetched::Document { bytes, tag })
    }

    /// Sends a JSON document; any answer of success will do.
    ///
    /// # Errors
    /// It was not taken, in words without a credential.
    pub fn post_json(&self, headers: &[(String, String)], body: &[u8]) -> Result<(), FetchError> {
        self.send_json(self.agent.post(&self.url), headers, body)
    }

    /// Writes a JSON document to another address of the same server.
    ///
    /// # Errors
    /// It was not taken, in words without a credential.
    pub fn put_json(&self, url: &str, headers: &[(String, String)], body: &[u8]) -> Result<(), FetchError> {
        self.send_json(self.agent.put(url), headers, body)
    }

    fn send_json(&self, request: RequestBuilder<WithBody>, headers: &[(String, String)], body: &[u8]) -> Result<(), FetchError> {
        let mut request = request.header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request.send(body).map_err(|error| self.unreachable(&error))?;
        // What it says beside its status is nobody's, but has to be read for the connection to be used again.
        let answer = response.body_mut().with_config().limit(self.bytes_max).read_to_vec();
        answer.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(()) } else { Err(FetchError::Status(response.status().as_u16())) }
    }

    fn unreachable(&self, error: &Error) -> FetchError {
        match error {
            Error::BodyExceedsLimit(_) => FetchError::TooLong(self.bytes_max),
            Error::RequireHttpsOnly(_) => FetchError::Unreachable("a redirect leads to an address that is not encrypted".to_owned()),
            Error::TooManyRedirects => FetchError::Unreachable("there are more redirects than allowed".to_owned()),
            // Its text quotes the address, which may hold a signature.
            Error::BadUri(_) => FetchError::Unreachable("the address is not valid".to_owned()),
            other => FetchError::Unreachable(other.to_string()),
        }
    }
}

fn is_encrypted(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

fn authorities(pem: &[u8]) -> Result<RootCerts, FetchError> {
    let unusable = || FetchError::Setup("the file of authorities holds no usable certificate".to_owned());
    let mut roots = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| unusable())? {
            roots.push(certificate);
        }
    }
    if roots.is_empty() { Err(unusable()) } else { Ok(RootCerts::Specific(Arc::new(roots))) }
}

/// An address as it may be shown: without a query, which can hold a signature.
pub fn shown_url(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
