//! Proofs of a login beside its password: tokens and certificates, by every way that they come.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio::net::TcpStream;

use super::raw::{Raw, message};
use super::startup::{connector, tls_options};
use super::*;
use crate::error::SqlState;
use crate::identity::certificate::{CertificateMapping, NameKind};
use crate::identity::{CertificateRules, Proof};
use crate::wire::{ClientAuthorities, FailedLogins, PlainClients, Tls, TlsMaterial, TokenOffer};

fn offer() -> TokenOffer {
    TokenOffer {
        password_field: true,
        plain_on_loopback: true,
        openid_configuration: "https://login.example/.well-known/openid-configuration".to_owned(),
        scope: "openid".to_owned(),
    }
}

fn with_tokens() -> WireOptions {
    WireOptions { tokens: Some(offer()), ..WireOptions::default() }
}

async fn start_up(server: &Server, user: &str, options: &str) -> Raw {
    let mut raw = Raw::connect(server.address).await;
    raw.start_up(0x0003_0000, &[("user", user), ("database", "mesh"), ("options", options)]).await;
    raw
}

/// A first SASL message that asks for that mechanism.
fn initial(mechanism: &str, first: &str) -> Vec<u8> {
    let mut body = format!("{mechanism}\0").into_bytes();
    body.extend(u32::try_from(first.len()).unwrap().to_be_bytes());
    body.extend(first.as_bytes());
    message(b'p', &body)
}

const CLEARTEXT: [u8; 4] = [0, 0, 0, 3];
const OK: [u8; 4] = [0, 0, 0, 0];

#[tokio::test]
async fn a_login_without_a_password_is_asked_for_its_token_in_place_of_one() {
    let server = start(with_tokens()).await;
    let (client, connection) = server.config("token of ann").user("ann").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.simple_query("rows 1").await.unwrap();
    // Who has a password is asked for it as before.
    server.client().await;
    let callers = server.backend.callers.lock().unwrap();
    assert!(matches!(callers[0].proof, Proof::Token { .. }) && callers[0].principal.name == "ann");
    assert_eq!(callers[1].proof, Proof::Password);
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_without_a_word_why() {
    let server = start(with_tokens()).await;
    for token in ["token of bob", "", "x", "token of ann "] {
        let mut raw = start_up(&server, "ann", "").await;
        assert_eq!(raw.skip_to(b'R').await, CLEARTEXT);
        raw.send(&message(b'p', format!("{token}\0").as_bytes())).await;
        raw.ends_with("28P01").await;
    }
    let refused = server.backend.refused.lock().unwrap();
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|refused| refused.reason == "no good token" && refused.sqlstate == SqlState::INVALID_PASSWORD));
    assert!(server.backend.callers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_long_token_fits_and_one_beyond_all_measure_does_not() {
    let server = start(with_tokens()).await;
    for (length, sqlstate) in [(60_000, "28P01"), (70_000, "08P01")] {
        let mut raw = start_up(&server, "ann", "").await;
        raw.skip_to(b'R').await;
        raw.send(&message(b'p', format!("{}\0", "x".repeat(length)).as_bytes())).await;
        raw.ends_with(sqlstate).await;
    }
}

#[tokio::test]
async fn oauthbearer_takes_a_token_in_one_message() {
    let server = start(with_tokens()).await;
    let mut raw = start_up(&server, "ann", "-c meshgate.login=oauthbearer").await;
    assert_eq!(raw.skip_to(b'R').await, [&[0, 0, 0, 10][..], b"OAUTHBEARER\0\0"].concat());
    raw.send(&initial("OAUTHBEARER", "n,,\u{1}auth=Bearer token of ann\u{1}\u{1}")).await;
    assert_eq!(raw.skip_to(b'R').await, OK);
    raw.skip_to(b'Z').await;
    assert!(server.backend.requests.lock().unwrap()[0].parameters.iter().all(|(name, _)| name != "meshgate.login"));
}

#[tokio::test]
async fn oauthbearer_tells_who_has_no_token_where_to_get_one() {
    let server = start(WireOptions { tokens: Some(TokenOffer { password_field: false, ..offer() }), ..WireOptions::default() }).await;
    for (auth, failures) in [("", 0), ("Bearer token of bob", 1)] {
        let mut raw = start_up(&server, "ann", "").await;
        raw.skip_to(b'R').await;
        raw.send(&initial("OAUTHBEARER", &format!("n,,\u{1}auth={auth}\u{1}\u{1}"))).await;
        let challenge = raw.skip_to(b'R').await;
        assert_eq!(challenge[..4], [0, 0, 0, 11]);
        let told: serde_json::Value = serde_json::from_slice(&challenge[4..]).unwrap();
        assert_eq!(told["openid-configuration"], "https://login.example/.well-known/openid-configuration");
        raw.send(&message(b'p', b"\x01")).await;
        raw.ends_with("28000").await;
        // Asking is no failure.
        assert_eq!(server.backend.refused.lock().unwrap().len(), failures, "{auth}");
    }
    let mut raw = start_up(&server, "ann", "").await;
    raw.skip_to(b'R').await;
    raw.send(&initial("OAUTHBEARER", "n,,\u{1}auth=\u{1}\u{1}")).await;
    raw.skip_to(b'R').await;
    raw.send(&message(b'p', b"n,,\x01auth=Bearer token of ann\x01\x01")).await;
    raw.ends_with("08P01").await;
}

#[tokio::test]
async fn a_client_may_ask_for_its_way_to_log_in() {
    let server = start(with_tokens()).await;
    let mechanisms = |all: &str| [&[0, 0, 0, 10][..], all.as_bytes(), b"\0"].concat();
    for (user, way, expected) in [
        ("alice", "scram", mechanisms("SCRAM-SHA-256\0")),
        ("nobody", "scram", mechanisms("SCRAM-SHA-256\0")),
        ("alice", "oauthbearer", mechanisms("OAUTHBEARER\0")),
        ("alice", "password", CLEARTEXT.to_vec()),
        ("nobody", "password", CLEARTEXT.to_vec()),
    ] {
        let mut raw = start_up(&server, user, &format!("-c meshgate.login={way}")).await;
        assert_eq!(raw.skip_to(b'R').await, expected, "{user} {way}");
    }
    let mut raw = start_up(&server, "alice", "").await;
    assert_eq!(raw.skip_to(b'R').await, mechanisms("SCRAM-SHA-256\0OAUTHBEARER\0"));
    raw.send(&initial("OAUTHBEARER", "n,,\u{1}auth=Bearer token of alice\u{1}\u{1}")).await;
    assert_eq!(raw.skip_to(b'R').await, OK);
    start_up(&server, "alice", "-c meshgate.login=trust").await.ends_with("22023").await;
    let without = start(WireOptions::default()).await;
    for way in ["password", "oauthbearer"] {
        start_up(&without, "alice", &format!("-c meshgate.login={way}")).await.ends_with("28000").await;
    }
}

#[tokio::test]
async fn no_token_is_asked_for_in_the_clear_unless_it_is_said_so() {
    let offer = TokenOffer { plain_on_loopback: false, ..offer() };
    let server = start(WireOptions { tokens: Some(offer.clone()), ..WireOptions::default() }).await;
    let mut raw = start_up(&server, "ann", "").await;
    assert!(raw.skip_to(b'R').await.ends_with(b"SCRAM-SHA-256\0\0"));
    raw.send(&initial("OAUTHBEARER", "n,,\u{1}auth=Bearer token of ann\u{1}\u{1}")).await;
    raw.ends_with("08P01").await;
    let (options, certificate) = tls_options(true);
    let server = start(WireOptions { tokens: Some(offer), ..options }).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let stream = connector(certificate, true).connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let mut raw = Raw::over(Box::new(stream));
    raw.start_up(0x0003_0000, &[("user", "ann"), ("database", "mesh")]).await;
    assert_eq!(raw.skip_to(b'R').await, CLEARTEXT);
    raw.send(&message(b'p', b"token of ann\0")).await;
    raw.skip_to(b'Z').await;
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let server = start(with_tokens()).await;
    *server.backend.token_lasts.lock().unwrap() = Some(Duration::from_millis(300));
    let mut raw = start_up(&server, "ann", "").await;
    raw.skip_to(b'R').await;
    raw.send(&message(b'p', b"token of ann\0")).await;
    raw.skip_to(b'Z').await;
    raw.send(&message(b'Q', b"rows 1\0")).await;
    raw.skip_to(b'Z').await;
    raw.ends_with("28000").await;
    // One that has expired on the way runs nothing.
    *server.backend.token_lasts.lock().unwrap() = Some(Duration::ZERO);
    let mut raw = start_up(&server, "ann", "").await;
    raw.skip_to(b'R').await;
    raw.send(&[message(b'p', b"token of ann\0"), message(b'Q', b"rows 1\0")].concat()).await;
    raw.skip_to(b'Z').await;
    raw.ends_with("28000").await;
}

#[tokio::test]
async fn whoever_guesses_tokens_is_slowed_down() {
    let failed_logins = FailedLogins { free: 2, wait: Duration::from_millis(100), forgotten_after: Duration::from_secs(60) };
    let server = start(WireOptions { failed_logins, ..with_tokens() }).await;
    let guess = || async {
        let mut raw = start_up(&server, "ann", "").await;
        raw.skip_to(b'R').await;
        raw.send(&message(b'p', b"guess\0")).await;
        raw.ends_with("28P01").await;
    };
    futures::join!(guess(), guess());
    let started = std::time::Instant::now();
    futures::join!(guess(), guess(), guess());
    assert!(started.elapsed() >= Duration::from_millis(300));
}

/// An authority, and the material of a server that takes its certificates.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    server: rcgen::CertifiedKey<KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, server: rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap() }
    }

    fn material(&self, revocations: Option<Vec<u8>>) -> TlsMaterial {
        TlsMaterial {
            chain: self.server.cert.pem().into_bytes(),
            key: self.server.signing_key.serialize_pem().into_bytes(),
            clients: Some(ClientAuthorities { authorities: self.issuer.pem().into_bytes(), revocations }),
        }
    }

    fn options(&self, rules: CertificateRules) -> WireOptions {
        let tls = Tls::new(&self.material(None)).unwrap();
        WireOptions { tls: Some(tls), plain: PlainClients::Refused, certificates: Some(rules), ..WireOptions::default() }
    }

    /// How a client connects that shows a certificate with that common name and serial number.
    fn client(&self, name: &str, serial: u64) -> tokio_rustls::TlsConnector {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.serial_number = Some(serial.into());
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        self.connector(Some((certificate.der().clone(), key)))
    }

    fn connector(
        &self,
        identity: Option<(rustls::pki_types::CertificateDer<'static>, rustls::pki_types::PrivateKeyDer<'static>)>,
    ) -> tokio_rustls::TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.server.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        tokio_rustls::TlsConnector::from(Arc::new(config))
    }
}

fn rules(required: bool, alone: bool) -> CertificateRules {
    let users = vec![CertificateMapping { from: NameKind::CommonName, name: "*".to_owned(), login: "*".to_owned() }];
    CertificateRules { required, alone, users }
}

async fn connect(server: &Server, connector: tokio_rustls::TlsConnector, user: &str) -> std::io::Result<Raw> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
    let mut raw = Raw::over(Box::new(stream));
    raw.start_up(0x0003_0000, &[("user", user), ("database", "mesh")]).await;
    Ok(raw)
}

#[tokio::test]
async fn a_certificate_alone_proves_the_login_that_it_names_and_no_other() {
    let authority = Authority::new();
    let server = start(authority.options(rules(false, true))).await;
    let mut raw = connect(&server, authority.client("alice", 1), "alice").await.unwrap();
    assert_eq!(raw.skip_to(b'R').await, OK);
    raw.skip_to(b'Z').await;
    assert_eq!(server.backend.callers.lock().unwrap()[0].proof, Proof::Certificate);
    connect(&server, authority.client("bob", 2), "alice").await.unwrap().ends_with("28000").await;
    assert_eq!(server.backend.refused.lock().unwrap()[0].reason, "the certificate does not stand for this login: bob");
    // A login that there is not is none, whatever the certificate says.
    let mut raw = connect(&server, authority.client("nobody", 3), "nobody").await.unwrap();
    assert!(raw.skip_to(b'R').await.ends_with(b"SCRAM-SHA-256\0\0"));
    // Without a certificate the password is asked for.
    let mut raw = connect(&server, authority.connector(None), "alice").await.unwrap();
    raw.authenticate().await;
}

#[tokio::test]
async fn certificate_and_password_must_both_hold() {
    let authority = Authority::new();
    let server = start(authority.options(rules(true, false))).await;
    let mut raw = connect(&server, authority.client("alice", 1), "alice").await.unwrap();
    raw.authenticate().await;
    raw.skip_to(b'Z').await;
    connect(&server, authority.client("bob", 2), "alice").await.unwrap().ends_with("28000").await;
    connect(&server, authority.connector(None), "alice").await.unwrap().ends_with("28000").await;
    let callers = server.backend.callers.lock().unwrap();
    assert_eq!(callers.iter().map(|caller| caller.proof.clone()).collect::<Vec<_>>(), [Proof::Password]);
}

#[tokio::test]
async fn a_certificate_of_another_authority_ends_the_handshake_and_counts() {
    let (authority, other) = (Authority::new(), Authority::new());
    let failed_logins = FailedLogins { free: 2, wait: Duration::from_millis(1), forgotten_after: Duration::from_secs(60) };
    let server = start(WireOptions { failed_logins, ..authority.options(rules(false, true)) }).await;
    // The other authority's client trusts this server, and shows a certificate that this server does not trust.
    let stranger = Authority {
        issuer: other.issuer,
        server: rcgen::CertifiedKey { cert: authority.server.cert.clone(), signing_key: KeyPair::generate().unwrap() },
    };
    let mut refused = connect(&server, stranger.client("alice", 1), "alice").await;
    if let Ok(raw) = &mut refused {
        raw.drain().await;
    }
    for _ in 0..500 {
        if !server.backend.refused.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = server.backend.refused.lock().unwrap();
    assert!(refused[0].user.is_empty() && refused[0].reason.contains("certificate"), "{}", refused[0].reason);
    assert!(server.backend.callers.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_once_the_list_is_loaded() {
    let authority = Authority::new();
    let options = authority.options(rules(true, true));
    let tls = options.tls.clone().unwrap();
    let server = start(options).await;
    let logs_in = async |serial: u64| match connect(&server, authority.client("alice", serial), "alice").await {
        Ok(mut raw) => raw.try_message().await == Some((b'R', OK.to_vec())),
        Err(_) => false,
    };
    assert!(logs_in(7).await);
    let now = rcgen::date_time_ymd(2020, 1, 1);
    let revoked = |next_update| rcgen::CertificateRevocationListParams {
        this_update: now,
        next_update,
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: 7.into(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = |next_update| revoked(next_update).signed_by(&authority.issuer).unwrap().pem().unwrap().into_bytes();
    tls.replace(&authority.material(Some(list(rcgen::date_time_ymd(2200, 1, 1))))).unwrap();
    assert!(!logs_in(7).await);
    assert!(logs_in(8).await);
    // A list that is out of date tells nothing about anybody.
    tls.replace(&authority.material(Some(list(rcgen::date_time_ymd(2020, 1, 2))))).unwrap();
    assert!(!logs_in(8).await);
    assert!(tls.replace(&authority.material(Some(b"no list".to_vec()))).is_err());
}
