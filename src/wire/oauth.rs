//! The messages of SASL OAUTHBEARER (RFC 7628), without I/O.

use crate::error::ClientMessage;

use super::frontend::violation;

/// The mechanism's name.
pub(super) const OAUTHBEARER: &str = "OAUTHBEARER";

/// What stands between the parts of a message, and all that a client answers to a refusal.
const SEPARATOR: char = '\u{1}';

/// What clients are told of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenOffer {
    /// Whether a login without a password is asked for its token in place of one.
    pub password_field: bool,
    /// Whether a client on the gateway's own machine may send a token without encryption.
    pub plain_on_loopback: bool,
    /// Where the issuer describes itself.
    pub openid_configuration: String,
    /// What to ask it for.
    pub scope: String,
}

impl TokenOffer {
    /// What a client without a good token is told, so that it can get one.
    pub(super) fn challenge(&self) -> Vec<u8> {
        let told = serde_json::json!({"status": "invalid_token", "openid-configuration": self.openid_configuration, "scope": self.scope});
        told.to_string().into_bytes()
    }
}

/// The token of a client's first message: the empty one asks where to get one.
///
/// # Errors
/// The message breaks the protocol.
pub(super) fn token(message: &[u8]) -> Result<&str, ClientMessage> {
    let message = std::str::from_utf8(message).map_err(|_| malformed("The message is not UTF-8."))?;
    let rest = match message.split_once(',') {
        Some(("n" | "y", rest)) => rest,
        Some((flag, _)) if flag.starts_with("p=") => return Err(malformed("Channel binding is not supported with tokens.")),
        _ => return Err(malformed("The channel binding flag is unknown.")),
    };
    // An identity to act as is refused: one is whom one logs in as.
    let rest = rest.strip_prefix(',').ok_or_else(|| malformed("An authorization identity is not supported."))?;
    let rest = rest.strip_prefix(SEPARATOR).ok_or_else(|| malformed("The header is malformed."))?;
    let pairs = rest.strip_suffix(SEPARATOR).ok_or_else(|| malformed("The message does not end as it must."))?;
    let mut found = None;
    for pair in pairs.split_terminator(SEPARATOR) {
        let (key, value) = pair.split_once('=').ok_or_else(|| malformed("A part is no pair of key and value."))?;
        match key {
            "auth" if found.is_some() => return Err(malformed("The token is given twice.")),
            "auth" => found = Some(value),
            _ if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                return Err(malformed("A part has a malformed key."));
            }
            _ => {}
        }
    }
    if !pairs.is_empty() && !pairs.ends_with(SEPARATOR) {
        return Err(malformed("The message does not end as it must."));
    }
    let authorization = found.ok_or_else(|| malformed("The token is missing."))?;
    if authorization.is_empty() {
        return Ok("");
    }
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(malformed("The authorization is no bearer token."));
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() { Err(malformed("The token is missing.")) } else { Ok(token) }
}

/// Whether a client has answered a refusal as it must.
pub(super) fn is_acknowledgement(message: &[u8]) -> bool {
    message == [1]
}

fn malformed(detail: &str) -> ClientMessage {
    violation("malformed OAUTHBEARER message").with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found() {
        for (message, found) in [
            ("n,,\x01auth=Bearer abc.def.ghi\x01\x01", "abc.def.ghi"),
            ("y,,\x01auth=bearer   abc\x01\x01", "abc"),
            ("n,,\x01host=mesh\x01port=6432\x01auth=Bearer a=b=\x01\x01", "a=b="),
            ("n,,\x01auth=\x01\x01", ""),
        ] {
            assert_eq!(token(message.as_bytes()), Ok(found), "{message:?}");
        }
    }

    #[test]
    fn other_messages_are_violations() {
        for message in [
            "",
            "n",
            "n,,",
            "n,,\x01",
            "n,,\x01\x01",
            "n,,\x01\x01\x01",
            "x,,\x01auth=Bearer a\x01\x01",
            "p=tls-server-end-point,,\x01auth=Bearer a\x01\x01",
            "n,a=steward,\x01auth=Bearer a\x01\x01",
            "n,,auth=Bearer a\x01\x01",
            "n,,\x01auth=Bearer a\x01",
            "n,,\x01auth=Bearer a",
            "n,,\x01auth=Bearer\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Basic YTpi\x01\x01",
            "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            "n,,\x01host=a\x01\x01",
            "n,,\x01auth\x01\x01",
            "n,,\x01=x\x01auth=Bearer a\x01\x01",
        ] {
            assert!(token(message.as_bytes()).is_err(), "{message:?}");
        }
        assert!(token(b"n,,\x01auth=Bearer \xff\x01\x01").is_err());
        assert!(is_acknowledgement(b"\x01") && !is_acknowledgement(b"") && !is_acknowledgement(b"\x01\x01"));
    }

    #[test]
    fn the_challenge_says_where_to_ask_for_what() {
        let offer = TokenOffer {
            openid_configuration: "https://login.example/.well-known/openid-configuration".to_owned(),
            scope: "openid \"mesh\"".to_owned(),
            ..TokenOffer::default()
        };
        let told: serde_json::Value = serde_json::from_slice(&offer.challenge()).unwrap();
        assert_eq!(told["status"], "invalid_token");
        assert_eq!(told["openid-configuration"], "https://login.example/.well-known/openid-configuration");
        assert_eq!(told["scope"], "openid \"mesh\"");
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(message in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64), text in "[ny],,\u{1}[a-z=\u{1} ]{0,20}") {
            let _ = token(&message);
            let _ = token(text.as_bytes());
        }
    }
}
