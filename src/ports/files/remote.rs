//! The object stores that contracts may name, and clients of them.
//!
//! INVARIANT: a location is answered only below a store of the configuration, at that store's own address; the gateway's own identity is
//! lent to no contract unless the configuration says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};

use super::super::error::{Error, Place};
use super::connect::Connector;
use super::identity::Secret;
use super::location::{FileLocation, Root};

/// Tries after a failed request that may be made again.
const RETRIES_MAX: usize = 3;
/// The longest that a request is tried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause before the first of these, doubled each time.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
const GOOGLE: &str = "https://storage.googleapis.com";

/// How a store is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Scheme {
    /// `s3://bucket`.
    S3,
    /// `gs://bucket`.
    Google,
    /// `az://container`.
    Azure,
    /// `http://host`.
    Http,
    /// `https://host`.
    Https,
}

impl Scheme {
    /// Reads the part before `://`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "s3" => Self::S3,
            "gs" => Self::Google,
            "az" => Self::Azure,
            "http" => Self::Http,
            "https" => Self::Https,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether it is a server of files that cannot list them.
    pub(super) fn is_web(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// An object store, or a part of one, that contracts may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreOptions {
    /// What locations begin with: `s3://bucket`, `s3://bucket/prefix`, `https://host:port/path`. It ends between two segments.
    pub location: String,
    /// The address of the service, if it is not the cloud's own.
    pub endpoint: Option<String>,
    /// The region of a bucket of S3; `us-east-1` if not given.
    pub region: Option<String>,
    /// The account of a container of Azure.
    pub account: Option<String>,
    /// Who asks where a contract refers to no credentials.
    pub identity: StoreIdentity,
    /// The authorities (PEM) whose certificates are believed in place of the public ones.
    pub authorities: Option<PathBuf>,
}

/// Who asks where a contract refers to no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreIdentity {
    /// Nobody: requests are not signed.
    #[default]
    Nobody,
    /// The machine or container that the gateway runs on, by its metadata service.
    Instance,
    /// The workload, by a token in a file that the environment names.
    WebIdentity,
}

impl StoreOptions {
    /// How many segments of the location this one holds; `None` if it does not hold it.
    fn holds(&self, scheme: Scheme, name: &str, pattern: &[String]) -> Option<usize> {
        let (own_scheme, rest) = self.location.split_once("://")?;
        let mut own = rest.split('/').filter(|segment| !segment.is_empty());
        let held = Scheme::parse(own_scheme) == Some(scheme) && own.next().is_some_and(|own| own.eq_ignore_ascii_case(name));
        let own: Vec<&str> = own.collect();
        let begins = own.len() <= pattern.len() && own.iter().zip(pattern).all(|(own, segment)| own == segment);
        (held && begins).then_some(own.len())
    }
}

/// The store of the configuration that holds the location: the one that names most of it.
pub(super) fn find<'a>(at: &Place, stores: &'a [StoreOptions], location: &FileLocation) -> Result<(usize, &'a StoreOptions), Error> {
    let none = || Error::Location { at: at.clone(), reason: "it is in no store that the configuration names" };
    let Root::Store { scheme, name } = &location.root else { return Err(none()) };
    let fixed = location.fixed();
    let held = stores.iter().enumerate().filter_map(|(index, store)| Some((store.holds(*scheme, name, fixed)?, index, store)));
    held.max_by_key(|(length, _, _)| *length).map(|(_, index, store)| (index, store)).ok_or_else(none)
}

/// What a client of a store is made from.
pub(super) struct Making<'a> {
    pub(super) at: &'a Place,
    pub(super) options: &'a StoreOptions,
    pub(super) secret: Option<&'a Secret>,
    pub(super) connect_timeout: Duration,
}

impl Making<'_> {
    /// A client; nothing is asked yet.
    pub(super) fn client(&self, scheme: Scheme, name: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        match scheme {
            Scheme::S3 => self.s3(name),
            Scheme::Google => self.google(name),
            Scheme::Azure => self.azure(name),
            Scheme::Http | Scheme::Https => self.web(scheme, name),
        }
    }

    fn s3(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        use AmazonS3ConfigKey as Key;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(self.options.region.as_deref().unwrap_or("us-east-1"))
            .with_client_options(self.client_options())
            .with_http_connector(self.connector(None)?)
            .with_retry(retry());
        builder = match &self.options.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint),
            // The certificate of the buckets' own hosts does not hold for a name with a dot in it.
            None => builder.with_virtual_hosted_style_request(!bucket.contains('.')),
        };
        builder = match (self.secret, self.options.identity) {
            (Some(Secret::S3 { key_id, secret, token }), _) => {
                let keyed = builder.with_access_key_id(key_id).with_secret_access_key(secret);
                if let Some(token) = token { keyed.with_token(token) } else { keyed }
            }
            (Some(_), _) => return Err(self.unfit()),
            (None, StoreIdentity::Nobody) => builder.with_skip_signature(true),
            (None, StoreIdentity::Instance) => {
                let keys = [
                    (Key::ContainerCredentialsRelativeUri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
                    (Key::ContainerCredentialsFullUri, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
                    (Key::ContainerAuthorizationTokenFile, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
                ];
                with_variables(builder, keys)
            }
            (None, StoreIdentity::WebIdentity) => {
                let keyed = builder
                    .with_config(Key::WebIdentityTokenFile, self.variable("AWS_WEB_IDENTITY_TOKEN_FILE")?)
                    .with_config(Key::RoleArn, self.variable("AWS_ROLE_ARN")?);
                with_variables(keyed, [(Key::StsEndpoint, "AWS_ENDPOINT_URL_STS"), (Key::RoleSessionName, "AWS_ROLE_SESSION_NAME")])
            }
        };
        Ok(Arc::new(builder.build().map_err(|source| self.unusable(source))?))
    }

    fn google(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        let builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(bucket)
            // Given in any case, for a service account's file may name another one.
            .with_base_url(self.options.endpoint.as_deref().unwrap_or(GOOGLE))
            .with_client_options(self.client_options())
            .with_http_connector(self.connector(None)?)
            .with_retry(retry());
        let builder = match (self.secret, self.options.identity) {
            (Some(Secret::ServiceAccount(json)), _) => builder.with_service_account_key(json),
            (Some(_), _) => return Err(self.unfit()),
            (None, StoreIdentity::Nobody) => {
                let nobody = StaticCredentialProvider::new(GcpCredential { bearer: String::new() });
                builder.with_credentials(Arc::new(nobody)).with_skip_signature(true)
            }
            (None, StoreIdentity::Instance) => builder,
            (None, StoreIdentity::WebIdentity) => return Err(self.unfit()),
        };
        Ok(Arc::new(builder.build().map_err(|source| self.unusable(source))?))
    }

    fn azure(&self, container: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        let account = self.options.account.as_deref().ok_or_else(|| self.unfit())?;
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(account)
            .with_container_name(container)
            .with_client_options(self.client_options())
            .with_http_connector(self.connector(None)?)
            .with_retry(retry());
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let builder = match (self.secret, self.options.identity) {
            (Some(Secret::AzureKey(key)), _) => builder.with_access_key(key),
            (Some(Secret::AzureSignature(text)), _) => builder.with_config(AzureConfigKey::SasKey, text),
            (Some(_), _) => return Err(self.unfit()),
            (None, StoreIdentity::Nobody) => builder.with_skip_signature(true),
            (None, StoreIdentity::Instance) => builder,
            (None, StoreIdentity::WebIdentity) => builder
                .with_config(AzureConfigKey::FederatedTokenFile, self.variable("AZURE_FEDERATED_TOKEN_FILE")?)
                .with_config(AzureConfigKey::ClientId, self.variable("AZURE_CLIENT_ID")?)
                .with_config(AzureConfigKey::AuthorityId, self.variable("AZURE_TENANT_ID")?),
        };
        Ok(Arc::new(builder.build().map_err(|source| self.unusable(source))?))
    }

    fn web(&self, scheme: Scheme, host: &str) -> Result<Arc<dyn ObjectStore>, Error> {
        let authorization = match self.secret {
            Some(Secret::Authorization(text)) => Some(text.clone()),
            Some(_) => return Err(self.unfit()),
            None => None,
        };
        let builder = HttpBuilder::new()
            .with_url(format!("{}://{host}", scheme.name()))
            .with_client_options(ClientOptions::new().with_allow_http(scheme == Scheme::Http))
            .with_http_connector(self.connector(authorization)?)
            .with_retry(retry());
        Ok(Arc::new(builder.build().map_err(|source| self.unusable(source))?))
    }

    fn client_options(&self) -> ClientOptions {
        let plain = self.options.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        ClientOptions::new().with_allow_http(plain)
    }

    fn connector(&self, authorization: Option<String>) -> Result<Connector, Error> {
        let read =
            |path: &PathBuf| std::fs::read(path).map_err(|source| Error::Unreachable { at: self.at.clone(), source: Box::new(source) });
        let authorities = self.options.authorities.as_ref().map(read).transpose()?;
        Ok(Connector { connect_timeout: self.connect_timeout, authorities, authorization })
    }

    fn variable(&self, name: &str) -> Result<String, Error> {
        std::env::var(name).map_err(|_| self.reason("the environment names no web identity"))
    }

    fn unfit(&self) -> Error {
        self.reason("they are not of the kind that the store asks for")
    }

    fn reason(&self, reason: &'static str) -> Error {
        Error::Credentials { at: self.at.clone(), reason }
    }

    fn unusable(&self, source: object_store::Error) -> Error {
        Error::Unreachable { at: self.at.clone(), source: Box::new(source) }
    }
}

/// What the environment says of an identity, as far as it says anything.
fn with_variables<const N: usize>(builder: AmazonS3Builder, keys: [(AmazonS3ConfigKey, &str); N]) -> AmazonS3Builder {
    let given = keys.into_iter().filter_map(|(key, name)| Some((key, std::env::var(name).ok()?)));
    given.fold(builder, |builder, (key, value)| builder.with_config(key, value))
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: RETRY_PAUSE, max_backoff: RETRY_PAUSE_MAX, base: 2.0 };
    RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::tests::place;
    use super::*;

    fn store(location: &str) -> StoreOptions {
        StoreOptions { location: location.to_owned(), ..StoreOptions::default() }
    }

    #[test]
    fn a_location_is_in_the_store_that_names_most_of_it() {
        let stores = [store("s3://mesh"), store("s3://mesh/shop/"), store("https://data.example:8443/open")];
        let index = |text: &str| {
            let location = FileLocation::parse(&place(), text, Path::new("/")).unwrap();
            find(&place(), &stores, &location).map(|(index, _)| index).ok()
        };
        assert_eq!(index("s3://mesh/shop/orders/"), Some(1));
        assert_eq!(index("s3://mesh/shop/*.csv"), Some(1));
        assert_eq!(index("s3://mesh/shopping/x.csv"), Some(0));
        assert_eq!(index("https://data.example:8443/open/x.csv"), Some(2));
        for other in [
            "s3://mesh2/x.csv",
            "gs://mesh/x.csv",
            "https://data.example:8443/closed/x.csv",
            "https://data.example/open/x.csv",
            "http://data.example:8443/open/x.csv",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert_eq!(index(other), None, "{other}");
        }
    }

    #[test]
    fn every_kind_of_store_is_made_with_its_own_secrets_only() {
        let make = |options: &StoreOptions, secret: Option<&Secret>, scheme| {
            Making { at: &place(), options, secret, connect_timeout: Duration::from_secs(1) }.client(scheme, "mesh").is_ok()
        };
        let azure = StoreOptions { account: Some("acc".to_owned()), ..store("az://mesh") };
        let (key, signature) = (Secret::AzureKey("a2V5".to_owned()), Secret::AzureSignature("sv=1&sig=x".to_owned()));
        assert!(make(&azure, Some(&key), Scheme::Azure) && make(&azure, Some(&signature), Scheme::Azure));
        assert!(make(&azure, None, Scheme::Azure) && !make(&store("az://mesh"), None, Scheme::Azure));
        let s3 = Secret::parse(Scheme::S3, "id:secret").unwrap();
        assert!(make(&store("s3://mesh"), Some(&s3), Scheme::S3) && make(&store("s3://mesh"), None, Scheme::S3));
        assert!(!make(&store("s3://mesh"), Some(&key), Scheme::S3) && !make(&store("gs://mesh"), Some(&s3), Scheme::Google));
        assert!(make(&store("gs://mesh"), None, Scheme::Google) && make(&store("http://mesh"), None, Scheme::Http));
        let lent = StoreOptions { identity: StoreIdentity::WebIdentity, ..store("gs://mesh") };
        assert!(!make(&lent, None, Scheme::Google));
    }
}
