//! `tls`: the gateway's certificate, those of its clients, and who may go without.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::Faults;

/// `tls`, as an operator writes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// PEM file of the certificate chain.
    pub certificate: Option<String>,
    /// PEM file of the private key.
    pub key: Option<String>,
    /// Whether a client without TLS is refused; unsaid, one on another machine is.
    pub required: Option<bool>,
    /// Certificates of clients.
    pub client_certificates: Option<ClientCertificatesSpec>,
}

/// `tls.client_certificates`, as an operator writes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificatesSpec {
    /// PEM file of the authorities that they come from.
    pub authorities: String,
    /// PEM file of the lists of revoked ones.
    pub revocations: Option<String>,
    /// Whether a client without one is refused.
    #[serde(default)]
    pub required: bool,
    /// Whether one that stands for the login is proof enough.
    #[serde(default)]
    pub alone: bool,
    /// Which logins one stands for; an empty list: any.
    #[serde(default = "common_name")]
    pub users: Vec<CertificateUserSpec>,
}

/// A name in a certificate, and the login that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateUserSpec {
    /// Where the name is.
    pub from: CertificateName,
    /// The name; one * in it is any text.
    pub name: String,
    /// The login; a * in it is the text that the one of the name stands for.
    pub login: String,
}

impl Default for CertificateUserSpec {
    fn default() -> Self {
        Self { from: CertificateName::CommonName, name: "*".to_owned(), login: "*".to_owned() }
    }
}

fn common_name() -> Vec<CertificateUserSpec> {
    vec![CertificateUserSpec::default()]
}

/// The names of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// The subject's common name.
    CommonName,
    /// An e-mail address among the alternative names.
    Email,
    /// A DNS name among them.
    Dns,
    /// A URI among them.
    Uri,
}

/// Certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
    /// Certificates of clients, if they are asked for.
    pub clients: Option<ClientCertificates>,
}

impl Tls {
    /// The files that it names.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.certificate.clone(), self.key.clone()];
        if let Some(clients) = &self.clients {
            files.push(clients.authorities.clone());
            files.extend(clients.revocations.clone());
        }
        files
    }
}

/// `tls.client_certificates`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// PEM file of the authorities.
    pub authorities: PathBuf,
    /// PEM file of the lists of revoked ones.
    pub revocations: Option<PathBuf>,
    /// Whether a client without one is refused.
    pub required: bool,
    /// Whether one that stands for the login is proof enough.
    pub alone: bool,
    /// Which logins one stands for.
    pub users: Vec<CertificateUserSpec>,
}

/// Which clients may do without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainClients {
    /// None.
    Refused,
    /// Those on the gateway's own machine: what holds when nothing is said.
    OnLoopback,
    /// All.
    Allowed,
}

/// Reads `tls`; what is wrong goes to the faults.
pub(super) fn tls(
    spec: Option<&TlsSpec>,
    mut resolve: impl FnMut(&str, &str, &mut Faults<'_>) -> PathBuf,
    faults: &mut Faults<'_>,
) -> (Option<Tls>, PlainClients) {
    let Some(spec) = spec else { return (None, PlainClients::OnLoopback) };
    let plain = match spec.required {
        Some(true) => PlainClients::Refused,
        Some(false) => PlainClients::Allowed,
        None => PlainClients::OnLoopback,
    };
    let (certificate, key) = match (&spec.certificate, &spec.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if spec.required == Some(false) && spec.client_certificates.is_none() => return (None, plain),
        (certificate, _) => {
            let missing = if certificate.is_some() { "key" } else { "certificate" };
            faults.add("/tls", format!("the key \"{missing}\" is missing"));
            return (None, plain);
        }
    };
    let clients = spec.client_certificates.as_ref().map(|spec| {
        check_users(spec, faults);
        ClientCertificates {
            authorities: resolve("/tls/client_certificates/authorities", &spec.authorities, faults),
            revocations: spec.revocations.as_deref().map(|text| resolve("/tls/client_certificates/revocations", text, faults)),
            required: spec.required,
            alone: spec.alone,
            users: spec.users.clone(),
        }
    });
    let tls = Tls { certificate: resolve("/tls/certificate", certificate, faults), key: resolve("/tls/key", key, faults), clients };
    (Some(tls), plain)
}

fn check_users(spec: &ClientCertificatesSpec, faults: &mut Faults<'_>) {
    let at = "/tls/client_certificates";
    if spec.alone && spec.users.is_empty() {
        faults.add(&format!("{at}/alone"), "a certificate that stands for no login in particular cannot be proof enough");
    }
    for (index, user) in spec.users.iter().enumerate() {
        let stars = |text: &str| text.matches('*').count();
        for (key, text) in [("name", &user.name), ("login", &user.login)] {
            if text.is_empty() || stars(text) > 1 {
                faults.add(&format!("{at}/users/{index}/{key}"), format!("\"{key}\" is empty or has more than one *"));
            }
        }
        if stars(&user.login) > stars(&user.name) {
            faults.add(&format!("{at}/users/{index}/login"), "\"login\" has a * and \"name\" has none");
        }
    }
}
