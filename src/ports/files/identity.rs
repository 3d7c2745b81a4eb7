//! Who the gateway is to an object store: the secret that a contract refers to, or an identity of the gateway's own.
//!
//! INVARIANT: no secret is in an error or a log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::remote::Scheme;

/// What a request proves itself with.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    /// An access key of S3.
    S3 {
        /// Its id.
        key_id: String,
        /// Its secret.
        secret: String,
        /// The token of a temporary key.
        token: Option<String>,
    },
    /// The account key of Azure.
    AzureKey(String),
    /// A shared access signature of Azure: `sv=…&sig=…`.
    AzureSignature(String),
    /// The JSON file of a service account of Google.
    ServiceAccount(String),
    /// What `Authorization` says to a server over HTTP.
    Authorization(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Reads what a reference leads to.
    pub(super) fn parse(scheme: Scheme, text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() || text.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t') {
            return Err("they are empty or hold a control character");
        }
        let one_line = !text.contains(['\n', '\r']);
        match scheme {
            Scheme::S3 => {
                let mut parts = text.splitn(3, ':').map(str::to_owned);
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(key_id), Some(secret), token) if !key_id.is_empty() && !secret.is_empty() && one_line => {
                        Ok(Self::S3 { key_id, secret, token })
                    }
                    _ => Err("they are neither \"key id:secret\" nor \"key id:secret:session token\""),
                }
            }
            Scheme::Azure if text.contains("sig=") && one_line => Ok(Self::AzureSignature(text.trim_start_matches('?').to_owned())),
            Scheme::Azure if STANDARD.decode(text).is_ok() => Ok(Self::AzureKey(text.to_owned())),
            Scheme::Azure => Err("they are neither an account key nor a shared access signature"),
            Scheme::Google => match serde_json::from_str::<serde_json::Value>(text) {
                Ok(value) if value.get("private_key").is_some() && value.get("client_email").is_some() => {
                    Ok(Self::ServiceAccount(text.to_owned()))
                }
                _ => Err("they are no JSON file of a service account"),
            },
            Scheme::Http | Scheme::Https => match (text.split_once(' '), text.contains(':')) {
                (Some((kind, token)), _) if kind.eq_ignore_ascii_case("bearer") && one_line && !token.contains(' ') => {
                    Ok(Self::Authorization(format!("Bearer {token}")))
                }
                (_, true) if one_line => Ok(Self::Authorization(format!("Basic {}", STANDARD.encode(text)))),
                _ => Err("they are neither \"user:password\" nor \"bearer TOKEN\""),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_store_has_its_forms() {
        let key = |token: Option<&str>| Secret::S3 { key_id: "id".to_owned(), secret: "s".to_owned(), token: token.map(str::to_owned) };
        assert_eq!(Secret::parse(Scheme::S3, "id:s\n"), Ok(key(None)));
        assert_eq!(Secret::parse(Scheme::S3, "id:s:a:b"), Ok(key(Some("a:b"))));
        assert_eq!(Secret::parse(Scheme::Azure, "a2V5"), Ok(Secret::AzureKey("a2V5".to_owned())));
        assert_eq!(Secret::parse(Scheme::Azure, "?sv=1&sig=x"), Ok(Secret::AzureSignature("sv=1&sig=x".to_owned())));
        assert_eq!(Secret::parse(Scheme::Https, "ada:pw"), Ok(Secret::Authorization("Basic YWRhOnB3".to_owned())));
        assert_eq!(Secret::parse(Scheme::Https, "bearer t"), Ok(Secret::Authorization("Bearer t".to_owned())));
        for (scheme, text) in
            [(Scheme::S3, "id"), (Scheme::Azure, "no key!"), (Scheme::Google, "{}"), (Scheme::Http, "x"), (Scheme::S3, "")]
        {
            assert!(Secret::parse(scheme, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert!(!format!("{:?}", Secret::parse(Scheme::S3, "id:hunter2")).contains("hunter2"));
    }
}
