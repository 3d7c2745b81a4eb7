//! The names in a client's certificate, and the logins that they may stand for.
//!
//! INVARIANT: only a certificate that an authority of the configuration vouches for comes here; this module looks at names alone. A name that is not
//! plain text, and a certificate with more than one common name, stand for nobody.

use super::der::{any, element, elements};

/// DER tags.
const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// Tags within a certificate: its version and its extensions; within an alternative name: e-mail, DNS name, URI.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const RFC822_NAME: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// The names of a certificate's owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateNames {
    /// The common name of the subject, if it has one and no more.
    pub common_name: Option<String>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
}

impl CertificateNames {
    /// Reads the names out of a certificate in DER; one that cannot be read has none.
    pub fn read(certificate: &[u8]) -> Self {
        Self::parse(certificate).unwrap_or_default()
    }

    fn parse(certificate: &[u8]) -> Option<Self> {
        let (fields, _) = element(certificate, SEQUENCE)?;
        let (signed, _) = element(fields, SEQUENCE)?;
        let mut fields = elements(signed)?.into_iter().filter(|(tag, _)| *tag != VERSION);
        // Serial number, algorithm, issuer, validity; then the subject.
        let (_, subject) = fields.nth(4)?;
        let mut names = Self { common_name: common_name(subject)?, ..Self::default() };
        if let Some((_, extensions)) = fields.find(|(tag, _)| *tag == EXTENSIONS) {
            let (extensions, _) = element(extensions, SEQUENCE)?;
            for (_, extension) in elements(extensions)? {
                names.read_extension(extension)?;
            }
        }
        Some(names)
    }

    fn read_extension(&mut self, extension: &[u8]) -> Option<()> {
        let (identifier, rest) = element(extension, OBJECT_IDENTIFIER)?;
        if identifier != ALTERNATIVE_NAMES {
            return Some(());
        }
        let rest = match any(rest)? {
            (BOOLEAN, _, rest) => rest,
            _ => rest,
        };
        let (value, _) = element(rest, OCTETS)?;
        let (all, _) = element(value, SEQUENCE)?;
        for (tag, name) in elements(all)? {
            let kind = match tag {
                RFC822_NAME => &mut self.emails,
                DNS_NAME => &mut self.dns_names,
                URI => &mut self.uris,
                _ => continue,
            };
            kind.extend(plain(name));
        }
        Some(())
    }
}

fn common_name(subject: &[u8]) -> Option<Option<String>> {
    let mut found = Vec::new();
    for (tag, part) in elements(subject)? {
        if tag != SET {
            return None;
        }
        for (_, attribute) in elements(part)? {
            let (identifier, rest) = element(attribute, OBJECT_IDENTIFIER)?;
            if identifier == COMMON_NAME {
                let (tag, value, _) = any(rest)?;
                found.push(if matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) { plain(value) } else { None });
            }
        }
    }
    let only = if found.len() == 1 { found.pop() } else { None };
    Some(only.flatten())
}

/// A text without anything that could end it early for somebody else.
fn plain(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Which of a certificate's names is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// The subject's common name.
    CommonName,
    /// An e-mail address among the alternative names.
    Email,
    /// A DNS name among them.
    Dns,
    /// A URI among them.
    Uri,
}

/// A name of a certificate, and the login that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateMapping {
    /// Where the name is.
    pub from: NameKind,
    /// The name; one `*` in it is any text of at least one letter.
    pub name: String,
    /// The login; a `*` in it is what the one of the name stands for.
    pub login: String,
}

impl CertificateMapping {
    fn login_of(&self, name: &str) -> Option<String> {
        let Some((before, after)) = self.name.split_once('*') else {
            return (self.name == name).then(|| self.login.clone());
        };
        let matched = name.strip_prefix(before)?.strip_suffix(after)?;
        (!matched.is_empty()).then(|| self.login.replace('*', matched))
    }
}

/// What client certificates are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRules {
    /// Whether a client without one is refused.
    pub required: bool,
    /// Whether one that stands for the login is proof enough.
    pub alone: bool,
    /// Which logins one stands for; empty: it says nothing about the login.
    pub users: Vec<CertificateMapping>,
}

impl CertificateRules {
    /// Whether a certificate with those names may be shown by that login.
    pub fn vouch_for(&self, names: &CertificateNames, login: &str) -> bool {
        self.users.is_empty()
            || self.users.iter().any(|mapping| {
                let found: Vec<&String> = match mapping.from {
                    NameKind::CommonName => names.common_name.iter().collect(),
                    NameKind::Email => names.emails.iter().collect(),
                    NameKind::Dns => names.dns_names.iter().collect(),
                    NameKind::Uri => names.uris.iter().collect(),
                };
                found.iter().any(|name| mapping.login_of(name).as_deref() == Some(login))
            })
    }

    /// Whether a certificate with those names proves that login without anything else.
    pub fn prove(&self, names: &CertificateNames, login: &str) -> bool {
        self.alone && !self.users.is_empty() && self.vouch_for(names, login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    fn certificate(common_names: &[&str], alternatives: Vec<SanType>) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "Example");
        for name in common_names {
            parameters.distinguished_name.push(DnType::CommonName, DnValue::Utf8String((*name).to_owned()));
        }
        parameters.subject_alt_names = alternatives;
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn mapping(from: NameKind, name: &str, login: &str) -> CertificateMapping {
        CertificateMapping { from, name: name.to_owned(), login: login.to_owned() }
    }

    fn rules(users: Vec<CertificateMapping>) -> CertificateRules {
        CertificateRules { required: false, alone: true, users }
    }

    #[test]
    fn all_kinds_of_names_are_found() {
        let alternatives = vec![
            SanType::Rfc822Name("ann@example.com".try_into().unwrap()),
            SanType::DnsName("ann.example.com".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::URI("spiffe://example.com/ann".try_into().unwrap()),
        ];
        let names = CertificateNames::read(&certificate(&["Ann Lee"], alternatives));
        assert_eq!(names.common_name.as_deref(), Some("Ann Lee"));
        assert_eq!(names.emails, ["ann@example.com"]);
        assert_eq!(names.dns_names, ["ann.example.com"]);
        assert_eq!(names.uris, ["spiffe://example.com/ann"]);
        let none = CertificateNames::read(&certificate(&[], Vec::new()));
        assert_eq!(none, CertificateNames::default());
    }

    #[test]
    fn names_that_could_be_taken_for_others_stand_for_nobody() {
        assert_eq!(CertificateNames::read(&certificate(&["ann\0.example"], Vec::new())).common_name, None);
        assert_eq!(CertificateNames::read(&certificate(&[""], Vec::new())).common_name, None);
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        let whole = certificate(&["ann"], vec![SanType::DnsName("ann.example.com".try_into().unwrap())]);
        for end in 0..whole.len() {
            assert_eq!(CertificateNames::read(&whole[..end]), CertificateNames::default(), "{end}");
        }
        for (at, flip) in (0..whole.len()).flat_map(|at| [(at, 0x01), (at, 0x80), (at, 0xff)]) {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            CertificateNames::read(&bytes);
        }
    }

    #[test]
    fn names_stand_for_logins_exactly_or_by_their_pattern() {
        let names = CertificateNames {
            common_name: Some("ann".to_owned()),
            emails: vec!["bob@example.com".to_owned()],
            dns_names: vec!["etl.svc.example.com".to_owned()],
            uris: Vec::new(),
        };
        let table = [
            (mapping(NameKind::CommonName, "*", "*"), "ann", true),
            (mapping(NameKind::CommonName, "*", "*"), "Ann", false),
            (mapping(NameKind::CommonName, "*", "*"), "bob", false),
            (mapping(NameKind::CommonName, "ann", "steward"), "steward", true),
            (mapping(NameKind::CommonName, "an", "steward"), "steward", false),
            (mapping(NameKind::Email, "*@example.com", "*"), "bob", true),
            (mapping(NameKind::Email, "*@other.com", "*"), "bob", false),
            (mapping(NameKind::Email, "bob*@example.com", "*"), "", false),
            (mapping(NameKind::Dns, "*.svc.example.com", "svc-*"), "svc-etl", true),
            (mapping(NameKind::Dns, "*.svc.example.com", "svc-*"), "etl", false),
            (mapping(NameKind::Uri, "*", "*"), "ann", false),
        ];
        for (mapping, login, expected) in table {
            let shown = format!("{mapping:?} {login}");
            assert_eq!(rules(vec![mapping]).vouch_for(&names, login), expected, "{shown}");
        }
    }

    #[test]
    fn a_certificate_that_stands_for_nobody_in_particular_proves_nothing() {
        let names = CertificateNames { common_name: Some("ann".to_owned()), ..CertificateNames::default() };
        let anybody = rules(Vec::new());
        assert!(anybody.vouch_for(&names, "ann") && !anybody.prove(&names, "ann"));
        let mapped = rules(vec![mapping(NameKind::CommonName, "*", "*")]);
        assert!(mapped.prove(&names, "ann") && !mapped.prove(&names, "bob"));
        assert!(!CertificateRules { alone: false, ..mapped }.prove(&names, "ann"));
    }
}
