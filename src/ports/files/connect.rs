//! Connections to object stores.
//!
//! INVARIANT: a redirect leads to no other server, and no proxy of the environment sees a request: who is asked is the configuration's
//! word alone. A server proves who it is by the public authorities, or by those of its own that the configuration names.

use std::time::Duration;

use object_store::client::{HttpClient, HttpConnector};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::{Attempt, Policy};

/// Redirects within one server that are followed.
const REDIRECTS_MAX: usize = 5;
/// The longest silence of a server in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes the clients of one store.
pub(super) struct Connector {
    /// How long connecting may take.
    pub(super) connect_timeout: Duration,
    /// The authorities (PEM) that are believed in place of the public ones.
    pub(super) authorities: Option<Vec<u8>>,
    /// What `Authorization` says, if it is the same in each request.
    pub(super) authorization: Option<String>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector(…)")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        Ok(HttpClient::new(self.client(plain).map_err(|source| object_store::Error::Generic { store: "HTTP", source })?))
    }
}

impl Connector {
    fn client(&self, plain: bool) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
        let mut headers = HeaderMap::new();
        if let Some(text) = &self.authorization {
            let mut value = HeaderValue::from_str(text)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::custom(within_one_server))
            .https_only(!plain)
            .connect_timeout(self.connect_timeout)
            .read_timeout(READ_TIMEOUT)
            .default_headers(headers)
            .user_agent(concat!("meshgate/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &self.authorities {
            builder = builder.tls_built_in_root_certs(false);
            for certificate in reqwest::Certificate::from_pem_bundle(pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(builder.build()?)
    }
}

/// Follows a redirect to the same server; any other answer of that kind is the end.
fn within_one_server(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().last().map(reqwest::Url::origin);
    if from == Some(attempt.url().origin()) && attempt.previous().len() <= REDIRECTS_MAX { attempt.follow() } else { attempt.stop() }
}
