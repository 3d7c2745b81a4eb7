//! Objects of an S3 store, by signed requests (AWS Signature Version 4).
//!
//! Signed here and not by an SDK: reading and writing one object is a page, and the address is then asked like any other.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::FetchError;

/// The hash of an empty body.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// Its id.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
    /// The token of a temporary key.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3Credentials(…)")
    }
}

impl S3Credentials {
    /// Reads `key id:secret` or `key id:secret:session token`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, ':').map(str::to_owned);
        let (key_id, secret, session_token) = (parts.next()?, parts.next()?, parts.next());
        (!key_id.is_empty() && !secret.is_empty()).then_some(Self { key_id, secret, session_token })
    }
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Object {
    /// `host` or `host:port` of the endpoint, with the bucket in it or not.
    host: String,
    /// The path, encoded as it is signed.
    path: String,
    scheme: &'static str,
    region: String,
}

impl S3Object {
    /// Reads `s3://bucket/key`. Without an endpoint it is the bucket's own at AWS; with one, the bucket is the first part of the path.
    ///
    /// # Errors
    /// The location or the endpoint is none.
    pub fn parse(location: &str, region: &str, endpoint: Option<&str>) -> Result<Self, FetchError> {
        let invalid = |what: &str| FetchError::Setup(what.to_owned());
        let rest = location.strip_prefix("s3://").ok_or_else(|| invalid("it is not s3://bucket/key"))?;
        let (bucket, key) = rest.split_once('/').ok_or_else(|| invalid("it is not s3://bucket/key"))?;
        if bucket.is_empty() || key.is_empty() || !bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
            return Err(invalid("it is not s3://bucket/key"));
        }
        let key = encode_path(key);
        let region = region.to_owned();
        let Some(endpoint) = endpoint else {
            return Ok(Self { host: format!("{bucket}.s3.{region}.amazonaws.com"), path: format!("/{key}"), scheme: "https", region });
        };
        let (scheme, host) = match (endpoint.strip_prefix("https://"), endpoint.strip_prefix("http://")) {
            (Some(host), _) => ("https", host),
            (None, Some(host)) => ("http", host),
            (None, None) => return Err(invalid("the endpoint is not http://host:port or https://host:port")),
        };
        let host = host.trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '@', '?', '#']) {
            return Err(invalid("the endpoint is not http://host:port or https://host:port"));
        }
        Ok(Self { host: host.to_owned(), path: format!("/{bucket}/{key}"), scheme, region })
    }

    /// The address that is asked.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.path)
    }

    /// The object of that name below this one.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self { path: format!("{}/{}", self.path.trim_end_matches('/'), encode_path(name)), ..self.clone() }
    }

    /// The headers that a GET needs at that moment.
    pub fn signed_headers(&self, credentials: &S3Credentials, at: DateTime<Utc>) -> Vec<(String, String)> {
        self.signed("GET", EMPTY_SHA256, credentials, at)
    }

    /// The headers that a PUT of these bytes needs at that moment.
    pub fn signed_headers_to_put(&self, body: &[u8], credentials: &S3Credentials, at: DateTime<Utc>) -> Vec<(String, String)> {
        self.signed("PUT", &hex(&Sha256::digest(body)), credentials, at)
    }

    fn signed(&self, method: &str, body: &str, credentials: &S3Credentials, at: DateTime<Utc>) -> Vec<(String, String)> {
        let mut headers = vec![
            ("host".to_owned(), self.host.clone()),
            ("x-amz-content-sha256".to_owned(), body.to_owned()),
            ("x-amz-date".to_owned(), at.format("%Y%m%dT%H%M%SZ").to_string()),
        ];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        let authorization = authorization((method, &self.path, body), &headers, &self.region, credentials, at);
        // The client writes `host` by itself, from the address.
        headers.retain(|(name, _)| name != "host");
        headers.push(("authorization".to_owned(), authorization));
        headers
    }
}

/// The value of `Authorization` for a request (method, path, hash of the body) without a query; `headers` in lower case and sorted.
fn authorization(
    (method, path, body): (&str, &str, &str),
    headers: &[(String, String)],
    region: &str,
    credentials: &S3Credentials,
    at: DateTime<Utc>,
) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let canonical: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let request = format!("{method}\n{path}\n\n{canonical}\n{names}\n{body}");
    let day = at.format("%Y%m%d").to_string();
    let scope = format!("{day}/{region}/s3/aws4_request");
    let hashed = hex(&Sha256::digest(request.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hashed}", at.format("%Y%m%dT%H%M%SZ"));
    let key = format!("AWS4{}", credentials.secret);
    let key = [day.as_str(), region, "s3", "aws4_request", &text].iter().fold(key.into_bytes(), |key, part| keyed(&key, part));
    format!("AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={}", credentials.key_id, hex(&key))
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is a key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key as a path: everything but letters, digits and `-._~/` is encoded.
fn encode_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn example() -> S3Credentials {
        S3Credentials::parse("AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap()
    }

    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let at = Utc.with_ymd_and_hms(2013, 5, 24, 0, 0, 0).unwrap();
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY_SHA256),
            ("x-amz-date", "20130524T000000Z"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signed = authorization(("GET", "/test.txt", EMPTY_SHA256), &headers, "us-east-1", &example(), at);
        assert!(signed.ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"), "{signed}");
    }

    #[test]
    fn the_signature_of_an_object_that_is_written_is_that_of_the_published_example() {
        let at = Utc.with_ymd_and_hms(2013, 5, 24, 0, 0, 0).unwrap();
        let body = hex(&Sha256::digest(b"Welcome to Amazon S3."));
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", &body),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let signed = authorization(("PUT", "/test%24file.text", &body), &headers, "us-east-1", &example(), at);
        assert!(signed.ends_with("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"), "{signed}");
    }

    #[test]
    fn an_object_is_addressed_by_its_bucket_or_below_an_endpoint() {
        let url = |location: &str, endpoint| S3Object::parse(location, "eu-west-1", endpoint).map(|object| object.url());
        assert_eq!(url("s3://mesh/a b/c.tar.gz", None).unwrap(), "https://mesh.s3.eu-west-1.amazonaws.com/a%20b/c.tar.gz");
        assert_eq!(url("s3://mesh/k", Some("http://127.0.0.1:9000/")).unwrap(), "http://127.0.0.1:9000/mesh/k");
        let below = S3Object::parse("s3://mesh/heads/", "eu-west-1", None).unwrap().below("7.json");
        assert_eq!(below.url(), "https://mesh.s3.eu-west-1.amazonaws.com/heads/7.json");
        for location in ["s3://mesh", "s3:///k", "s3://mesh/", "http://mesh/k", "s3://a@b/k"] {
            assert!(url(location, None).is_err(), "{location}");
        }
        for endpoint in ["127.0.0.1", "ftp://a", "http://u@h", "https://h/path"] {
            assert!(url("s3://mesh/k", Some(endpoint)).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert!(!format!("{:?}", example()).contains("wJalr"));
        assert_eq!(S3Credentials::parse("id:secret:token").unwrap().session_token.as_deref(), Some("token"));
        assert!(S3Credentials::parse("id").is_none() && S3Credentials::parse(":secret").is_none());
    }
}
