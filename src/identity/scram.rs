//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, without I/O.
//!
//! INVARIANT: an unknown login sees the same messages, takes the same steps and fails at the same one as a wrong password.
//! Secrets are compared in constant time and never formatted.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::error::{ClientError, SqlState};

/// Rounds of a new verifier: what PostgreSQL takes, and the least that RFC 7677 allows.
pub const ITERATIONS_DEFAULT: u32 = 4_096;

/// More rounds would keep the client busy for minutes.
pub const ITERATIONS_MAX: u32 = 10_000_000;

const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;
const KEY_BYTES: usize = 32;

/// The longest message of a client that is read.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// The only channel binding there is: the hash of the server's certificate (RFC 5929).
const BOUND_FLAG: &str = "p=tls-server-end-point";

type Key = [u8; KEY_BYTES];

/// What a server stores of a password: it can check one and cannot tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

/// A text that is no verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SCRAM-SHA-256 verifier")]
pub struct VerifierError;

impl ScramVerifier {
    /// The verifier of a password.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(&normalized(password), salt, iterations);
        let stored_key: Key = Sha256::digest(hmac(&salted, &[b"Client Key"])).into();
        Self { iterations: iterations.max(1), salt: salt.to_vec(), stored_key, server_key: hmac(&salted, &[b"Server Key"]) }
    }

    /// The verifier of a password with a fresh salt.
    pub fn generate(password: &str) -> Self {
        Self::derive(password, &rand::random::<[u8; SALT_BYTES]>(), ITERATIONS_DEFAULT)
    }

    /// Reads PostgreSQL's form: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
    ///
    /// # Errors
    /// If the text has another form.
    pub fn parse(text: &str) -> Result<Self, VerifierError> {
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(VerifierError)?;
        let (parameters, keys) = rest.split_once('$').ok_or(VerifierError)?;
        let (iterations, salt) = parameters.split_once(':').ok_or(VerifierError)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(VerifierError)?;
        let digits = !iterations.is_empty() && iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = if digits { iterations.parse().map_err(|_| VerifierError)? } else { 0 };
        let salt = BASE64.decode(salt).map_err(|_| VerifierError)?;
        if salt.is_empty() || !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(VerifierError);
        }
        let key = |text: &str| BASE64.decode(text).ok().and_then(|bytes| Key::try_from(bytes).ok()).ok_or(VerifierError);
        Ok(Self { iterations, salt, stored_key: key(stored_key)?, server_key: key(server_key)? })
    }

    /// The text that [`ScramVerifier::parse`] reads; write it to a principals file only.
    pub fn to_text(&self) -> String {
        let [salt, stored, server] = [self.salt.as_slice(), &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        format!("SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }

    /// Rounds.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Whether the password is the verifier's.
    pub fn matches(&self, password: &str) -> bool {
        let other = Self::derive(password, &self.salt, self.iterations);
        self.stored_key.ct_eq(&other.stored_key).into()
    }

    /// A verifier that no password has, the same for a login each time, so that asking twice tells nothing.
    fn mock(secret: &[u8], user: &str, iterations: u32) -> Self {
        let part = |purpose: &[u8]| hmac(secret, &[purpose, user.as_bytes()]);
        let salt = part(b"salt:").iter().take(SALT_BYTES).copied().collect();
        Self { iterations, salt, stored_key: part(b"stored:"), server_key: part(b"server:") }
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// Why an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The client's message breaks the protocol.
    #[error("malformed SCRAM message")]
    Malformed(&'static str),
    /// The client asks for channel binding that is not offered, or was kept from using what is.
    #[error("SCRAM channel binding negotiation failed")]
    ChannelBinding,
    /// The proof is wrong, or there is no such login.
    #[error("password authentication failed")]
    Failed,
}

impl ClientError for ScramError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Malformed(_) | Self::ChannelBinding => SqlState::PROTOCOL_VIOLATION,
            Self::Failed => SqlState::INVALID_PASSWORD,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Malformed(detail) => Some((*detail).to_owned()),
            Self::ChannelBinding | Self::Failed => None,
        }
    }
}

/// One exchange: [`ScramServer::first`], then [`ScramServer::last`].
pub struct ScramServer {
    verifier: ScramVerifier,
    known: Choice,
    nonce: String,
    binding: Binding,
    step: Step,
}

/// What ties an exchange to the encrypted connection that it runs over.
enum Binding {
    /// The server cannot bind.
    NotOffered,
    /// The server offers SCRAM-SHA-256-PLUS, and the client has chosen the plain mechanism so far.
    Offered(Vec<u8>),
    /// The client has chosen SCRAM-SHA-256-PLUS: its last message must repeat these bytes.
    Chosen(Vec<u8>),
}

enum Step {
    First,
    Last { gs2_header: String, client_first_bare: String, server_first: String, nonce: String },
    Over,
}

impl fmt::Debug for ScramServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramServer").finish_non_exhaustive()
    }
}

impl ScramServer {
    /// An exchange with a login: `None` if there is none of that name. The secret is the server's own, the same for its whole life.
    pub fn new(verifier: Option<ScramVerifier>, mock_secret: &[u8], user: &str) -> Self {
        Self::with_nonce(verifier, mock_secret, user, &BASE64.encode(rand::random::<[u8; NONCE_BYTES]>()))
    }

    /// The same with the server's part of the nonce given: printable ASCII without commas, never used before.
    pub fn with_nonce(verifier: Option<ScramVerifier>, mock_secret: &[u8], user: &str, nonce: &str) -> Self {
        // The mock is made for every login, so that making it takes no extra time for an unknown one.
        let mock = ScramVerifier::mock(mock_secret, user, ITERATIONS_DEFAULT);
        let known = Choice::from(u8::from(verifier.is_some()));
        Self { verifier: verifier.unwrap_or(mock), known, nonce: nonce.to_owned(), binding: Binding::NotOffered, step: Step::First }
    }

    /// Rounds that an unknown login seems to have; those of the known ones, or it can be told apart.
    #[must_use]
    pub fn with_mock_iterations(mut self, iterations: u32) -> Self {
        if !bool::from(self.known) {
            self.verifier.iterations = iterations.clamp(1, ITERATIONS_MAX);
        }
        self
    }

    /// Says that the server also offers SCRAM-SHA-256-PLUS, bound to the hash of its certificate: a client that could use it and was kept
    /// from seeing it is refused.
    #[must_use]
    pub fn offering_channel_binding(mut self, certificate_hash: &[u8]) -> Self {
        self.binding = Binding::Offered(certificate_hash.to_vec());
        self
    }

    /// The client has chosen SCRAM-SHA-256-PLUS.
    ///
    /// # Errors
    /// If it was not offered.
    pub fn choose_channel_binding(&mut self) -> Result<(), ScramError> {
        match std::mem::replace(&mut self.binding, Binding::NotOffered) {
            Binding::NotOffered => Err(ScramError::ChannelBinding),
            Binding::Offered(hash) | Binding::Chosen(hash) => {
                self.binding = Binding::Chosen(hash);
                Ok(())
            }
        }
    }

    /// Takes the client's first message; gives the server's first.
    ///
    /// # Errors
    /// If the message breaks the protocol; the exchange is then over.
    pub fn first(&mut self, client_first: &[u8]) -> Result<Vec<u8>, ScramError> {
        let step = std::mem::replace(&mut self.step, Step::Over);
        if !matches!(step, Step::First) {
            return Err(ScramError::Malformed("The message is out of order."));
        }
        let message = text(client_first)?;
        let (gs2_header, bare) = self.split_header(message)?;
        let client_nonce = client_nonce(bare)?;
        let nonce = format!("{client_nonce}{}", self.nonce);
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&self.verifier.salt), self.verifier.iterations);
        self.step =
            Step::Last { gs2_header: gs2_header.to_owned(), client_first_bare: bare.to_owned(), server_first: server_first.clone(), nonce };
        Ok(server_first.into_bytes())
    }

    /// Takes the client's last message; gives the server's last, which proves the server to the client.
    ///
    /// # Errors
    /// If the message breaks the protocol, the proof is wrong, or there is no such login. The exchange is over in any case.
    pub fn last(&mut self, client_final: &[u8]) -> Result<Vec<u8>, ScramError> {
        let step = std::mem::replace(&mut self.step, Step::Over);
        let Step::Last { gs2_header, client_first_bare, server_first, nonce } = step else {
            return Err(ScramError::Malformed("The message is out of order."));
        };
        let message = text(client_final)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed("The proof is missing."))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|part| part.strip_prefix("c="));
        let binding = binding.ok_or(ScramError::Malformed("The channel binding is missing."))?;
        let their_nonce = attributes.next().and_then(|part| part.strip_prefix("r="));
        let their_nonce = their_nonce.ok_or(ScramError::Malformed("The nonce is missing."))?;
        let expected = match &self.binding {
            Binding::Chosen(hash) => BASE64.encode([gs2_header.as_bytes(), hash].concat()),
            Binding::NotOffered | Binding::Offered(_) => BASE64.encode(gs2_header.as_bytes()),
        };
        if binding != expected {
            return Err(ScramError::ChannelBinding);
        }
        if !bool::from(their_nonce.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(ScramError::Malformed("The nonce does not match."));
        }
        let proof: Key = BASE64
            .decode(proof)
            .ok()
            .and_then(|bytes| Key::try_from(bytes).ok())
            .ok_or(ScramError::Malformed("The proof has the wrong form or length."))?;
        let parts: [&[u8]; 5] = [client_first_bare.as_bytes(), b",", server_first.as_bytes(), b",", without_proof.as_bytes()];
        let mut client_key = hmac(&self.verifier.stored_key, &parts);
        for (byte, of_proof) in client_key.iter_mut().zip(proof) {
            *byte ^= of_proof;
        }
        let stored_key: Key = Sha256::digest(client_key).into();
        let signature = hmac(&self.verifier.server_key, &parts);
        // The login is looked at only here, after all the work, and without a branch before the last one.
        if bool::from(stored_key.ct_eq(&self.verifier.stored_key) & self.known) {
            Ok(format!("v={}", BASE64.encode(signature)).into_bytes())
        } else {
            Err(ScramError::Failed)
        }
    }

    /// `n,,`, `y,,` or `p=tls-server-end-point,,`, and the rest. An identity to act as (`a=`) is refused: one is whom one logs in as.
    fn split_header<'m>(&self, message: &'m str) -> Result<(&'m str, &'m str), ScramError> {
        let flag = message.split(',').next().unwrap_or_default();
        match (flag, &self.binding) {
            ("n", Binding::NotOffered | Binding::Offered(_)) | ("y", Binding::NotOffered) => {}
            (BOUND_FLAG, Binding::Chosen(_)) => {}
            ("n" | "y", _) => return Err(ScramError::ChannelBinding),
            (flag, _) if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed("The channel binding flag is unknown.")),
        }
        let after = flag.len();
        match (message.get(..after + 2), message.get(after + 2..)) {
            (Some(header), Some(bare)) if header.ends_with(",,") => Ok((header, bare)),
            _ if message.get(after..after + 3) == Some(",a=") => Err(ScramError::Malformed("An authorization identity is not supported.")),
            _ => Err(ScramError::Malformed("The header is malformed.")),
        }
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed("The message is too long."));
    }
    let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("The message is not UTF-8."))?;
    if text.contains('\0') { Err(ScramError::Malformed("The message has a zero byte.")) } else { Ok(text) }
}

/// The nonce of `n=user,r=nonce`. The user is that of the start-up message, so the one here is not looked at.
fn client_nonce(bare: &str) -> Result<&str, ScramError> {
    if bare.starts_with("m=") {
        return Err(ScramError::Malformed("A mandatory extension is not supported."));
    }
    let mut attributes = bare.split(',');
    if attributes.next().is_none_or(|part| !part.starts_with("n=")) {
        return Err(ScramError::Malformed("The user is missing."));
    }
    let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).unwrap_or_default();
    let printable = nonce.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
    if nonce.is_empty() || !printable { Err(ScramError::Malformed("The nonce is missing or not printable.")) } else { Ok(nonce) }
}

/// RFC 4013; a password that it forbids is taken as its bytes, as PostgreSQL and its clients do.
fn normalized(password: &str) -> String {
    stringprep::saslprep(password).map_or_else(|_| password.to_owned(), std::borrow::Cow::into_owned)
}

/// PBKDF2 with one block of output (`Hi` of RFC 5802).
fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Key {
    let mut last = hmac(password.as_bytes(), &[salt, &1u32.to_be_bytes()]);
    let mut all = last;
    for _ in 1..iterations {
        last = hmac(password.as_bytes(), &[&last]);
        for (byte, other) in all.iter_mut().zip(last) {
            *byte ^= other;
        }
    }
    all
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    // A key longer than the hash's block is hashed first (RFC 2104), so a key of at most one block always fits and a new
    // state needs no fallible constructor.
    let mut block = [0u8; 64];
    let hashed: Key;
    let key = if key.len() > block.len() {
        hashed = Sha256::digest(key).into();
        hashed.as_slice()
    } else {
        key
    };
    for (byte, of_key) in block.iter_mut().zip(key) {
        *byte = *of_key;
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn verifier() -> ScramVerifier {
        ScramVerifier::derive("pencil", &BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096)
    }

    fn server() -> ScramServer {
        ScramServer::with_nonce(Some(verifier()), b"secret", "user", SERVER_NONCE)
    }

    /// A client's last message for a password.
    fn client_final(password: &str, client_first: &str, server_first: &[u8]) -> String {
        let (header, bare) = client_first.split_at(3);
        last_message(password, header, b"", bare, server_first)
    }

    /// The same with channel binding.
    fn bound_final(password: &str, header: &str, hash: &[u8], server_first: &[u8]) -> String {
        last_message(password, header, hash, "n=user,r=abc", server_first)
    }

    fn last_message(password: &str, header: &str, hash: &[u8], bare: &str, server_first: &[u8]) -> String {
        let server_first = std::str::from_utf8(server_first).unwrap();
        let part = |prefix: &str| server_first.split(',').find_map(|part| part.strip_prefix(prefix)).unwrap();
        let salted = salted_password(&normalized(password), &BASE64.decode(part("s=")).unwrap(), part("i=").parse().unwrap());
        let client_key = hmac(&salted, &[b"Client Key"]);
        let without_proof = format!("c={},r={}", BASE64.encode([header.as_bytes(), hash].concat()), part("r="));
        let auth = format!("{bare},{server_first},{without_proof}");
        let signature = hmac(&Sha256::digest(client_key), &[auth.as_bytes()]);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        format!("{without_proof},p={}", BASE64.encode(proof))
    }

    #[test]
    fn the_example_of_rfc_7677_succeeds() {
        let mut server = server();
        let first = server.first(CLIENT_FIRST.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(first).unwrap(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = server.last(CLIENT_FINAL.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(last).unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn verifiers_survive_their_text() {
        let text = verifier().to_text();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
        assert_eq!(ScramVerifier::parse(&text).unwrap(), verifier());
        assert!(verifier().matches("pencil") && !verifier().matches("Pencil"));
        assert!(!format!("{:?}", verifier()).contains("W22Z"));
    }

    #[test]
    fn other_texts_are_no_verifiers() {
        let good = verifier().to_text();
        for text in [
            "",
            "pencil",
            "md5abc",
            &good[..good.len() - 4],
            &good.replace("4096", "0"),
            &good.replace("4096", "+4096"),
            &good.replace("4096", "99999999999"),
        ] {
            assert_eq!(ScramVerifier::parse(text), Err(VerifierError), "{text}");
        }
        assert!(ScramVerifier::parse(&good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "")).is_err());
    }

    #[test]
    fn a_wrong_password_and_an_unknown_login_fail_alike() {
        for known in [Some(verifier()), None] {
            let mut server = ScramServer::new(known, b"secret", "user");
            let first = server.first(CLIENT_FIRST.as_bytes()).unwrap();
            assert!(std::str::from_utf8(&first).unwrap().ends_with(",i=4096"));
            let last = client_final("wrong", CLIENT_FIRST, &first);
            assert_eq!(server.last(last.as_bytes()), Err(ScramError::Failed));
        }
    }

    #[test]
    fn an_unknown_login_has_the_same_salt_each_time_and_another_than_its_neighbour() {
        let salt = |user: &str, secret: &[u8]| {
            let first = ScramServer::with_nonce(None, secret, user, "x").first(CLIENT_FIRST.as_bytes()).unwrap();
            String::from_utf8(first).unwrap()
        };
        assert_eq!(salt("a", b"one"), salt("a", b"one"));
        assert_ne!(salt("a", b"one"), salt("b", b"one"));
        assert_ne!(salt("a", b"one"), salt("a", b"two"));
        assert_eq!(salt("a", b"one").len(), salt("longer name", b"one").len());
    }

    #[test]
    fn a_mock_verifier_lets_nobody_in_even_with_its_own_keys() {
        let mut server = ScramServer::with_nonce(None, b"secret", "user", "x");
        server.verifier = verifier();
        let first = server.first(CLIENT_FIRST.as_bytes()).unwrap();
        let last = client_final("pencil", CLIENT_FIRST, &first);
        assert_eq!(server.last(last.as_bytes()), Err(ScramError::Failed));
    }

    #[test]
    fn malformed_first_messages_are_refused() {
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=user",
            "n,,r=abc",
            "n,,n=user,r=",
            "n,,n=user,x=1",
            "n,a=other,n=user,r=abc",
            "x,,n=u,r=a",
            "n,,m=1,n=u,r=a",
            "n,,n=u,r=a\u{e9}",
            "n,,n=u,r=\0",
        ] {
            assert!(matches!(server().first(message.as_bytes()), Err(ScramError::Malformed(_))), "{message}");
        }
        assert!(server().first(&[0xff]).is_err());
        assert!(server().first("n,,n=u,r=".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn channel_binding_flags_are_checked() {
        assert!(server().first(b"y,,n=user,r=abc").is_ok());
        assert_eq!(server().offering_channel_binding(b"hash").first(b"y,,n=user,r=abc"), Err(ScramError::ChannelBinding));
        assert!(server().offering_channel_binding(b"hash").first(b"n,,n=user,r=abc").is_ok());
        assert_eq!(server().first(b"p=tls-server-end-point,,n=user,r=abc"), Err(ScramError::ChannelBinding));
    }

    #[test]
    fn a_bound_exchange_proves_the_certificate() {
        let header = "p=tls-server-end-point,,";
        let first = format!("{header}n=user,r=abc");
        for (claimed, expected) in [(&b"hash"[..], true), (b"other", false), (b"", false)] {
            let mut server = server().offering_channel_binding(b"hash");
            server.choose_channel_binding().unwrap();
            let reply = server.first(first.as_bytes()).unwrap();
            let last = bound_final("pencil", header, claimed, &reply);
            assert_eq!(server.last(last.as_bytes()).is_ok(), expected, "{claimed:?}");
        }
    }

    #[test]
    fn binding_is_as_the_mechanism_says() {
        assert_eq!(server().choose_channel_binding(), Err(ScramError::ChannelBinding));
        for first in ["n,,n=user,r=abc", "y,,n=user,r=abc", "p=tls-unique,,n=user,r=abc"] {
            let mut server = server().offering_channel_binding(b"hash");
            server.choose_channel_binding().unwrap();
            assert_eq!(server.first(first.as_bytes()), Err(ScramError::ChannelBinding), "{first}");
        }
        let mut unbound = server().offering_channel_binding(b"hash");
        assert_eq!(unbound.first(b"p=tls-server-end-point,,n=user,r=abc"), Err(ScramError::ChannelBinding));
    }

    #[test]
    fn a_client_that_sent_y_must_repeat_it() {
        let first = "y,,n=user,r=abc";
        let mut server = server();
        let reply = server.first(first.as_bytes()).unwrap();
        let right = client_final("pencil", first, &reply);
        assert_eq!(server.last(right.replace("c=eSws", "c=biws").as_bytes()), Err(ScramError::ChannelBinding));
        let mut again = super::tests::server();
        again.first(first.as_bytes()).unwrap();
        assert!(again.last(right.as_bytes()).is_ok());
    }

    #[test]
    fn altered_last_messages_are_refused() {
        let changes = [
            CLIENT_FINAL.replace("p=dHzb", "p=dHzc"),
            CLIENT_FINAL.replace("=,", ","),
            CLIENT_FINAL.replace("$k0", "$k1"),
            CLIENT_FINAL.replace("c=biws", "c=eSws"),
            CLIENT_FINAL.replace("c=biws,", ""),
            CLIENT_FINAL.replace(",p=", ",x=1,p="),
            CLIENT_FINAL.replace("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "dHzb"),
            CLIENT_FINAL.replace("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ""),
            String::new(),
        ];
        for change in changes.iter().filter(|change| *change != CLIENT_FINAL) {
            let mut server = server();
            server.first(CLIENT_FIRST.as_bytes()).unwrap();
            assert!(server.last(change.as_bytes()).is_err(), "{change}");
        }
    }

    #[test]
    fn an_exchange_is_used_once() {
        let mut server = server();
        assert!(server.last(CLIENT_FINAL.as_bytes()).is_err());
        assert!(server.first(CLIENT_FIRST.as_bytes()).is_err());
        let mut server = super::tests::server();
        server.first(CLIENT_FIRST.as_bytes()).unwrap();
        assert!(server.last(b"x").is_err());
        assert!(server.last(CLIENT_FINAL.as_bytes()).is_err());
    }

    #[test]
    fn passwords_are_normalized_where_the_rfc_allows() {
        // A soft hyphen maps to nothing; a forbidden character leaves the password as its bytes.
        assert_eq!(normalized("I\u{ad}X"), "IX");
        assert_eq!(normalized("a\u{7}b"), "a\u{7}b");
        let [salt, iterations] = [7u32, 3];
        let derive = |password: &str| ScramVerifier::derive(password, &salt.to_be_bytes(), iterations);
        assert_eq!(derive("I\u{ad}X"), derive("IX"));
    }
}
