//! Start-up: identity, encryption, versions, limits.

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

use super::raw::{Raw, message};
use super::*;
use crate::error::SqlState;
use crate::wire::{FailedLogins, PlainClients, Tls, TlsMaterial, serve_stream};

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("none", |code| code.code())
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_look_alike() {
    let server = start(WireOptions::default()).await;
    let wrong = server.config("wrong").connect(NoTls).await.err().unwrap();
    let unknown = server.config("secret").user("bob").connect(NoTls).await.err().unwrap();
    for (error, user) in [(&wrong, "alice"), (&unknown, "bob")] {
        let error = error.as_db_error().unwrap();
        assert_eq!((error.severity(), error.code().code()), ("FATAL", "28P01"));
        assert_eq!(error.message(), format!("password authentication failed for user \"{user}\""));
    }
    let refused = server.backend.refused.lock().unwrap();
    assert_eq!(refused.iter().map(|refused| refused.user.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
    assert!(refused.iter().all(|refused| refused.sqlstate == SqlState::INVALID_PASSWORD));
}

#[tokio::test]
async fn an_unknown_database_is_told_only_to_who_proved_himself() {
    let server = start(WireOptions::default()).await;
    assert_eq!(code(&server.config("secret").dbname("other").connect(NoTls).await.err().unwrap()), "3D000");
    assert_eq!(code(&server.config("wrong").dbname("other").connect(NoTls).await.err().unwrap()), "28P01");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let server = start(WireOptions { connections_max: 1, ..WireOptions::default() }).await;
    let client = server.client().await;
    assert_eq!(code(&server.config("secret").connect(NoTls).await.err().unwrap()), "53300");
    drop(client);
    for _ in 0..100 {
        if server.config("secret").connect(NoTls).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place is not free again");
}

#[tokio::test]
async fn who_stalls_before_the_login_keeps_nobody_out() {
    let server = start(WireOptions { connections_max: 1, start_ups_max: 3, ..WireOptions::default() }).await;
    let mut stalled = Vec::new();
    for number in 0..20 {
        let mut raw = Raw::connect(server.address).await;
        if number % 2 == 0 {
            raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
            assert_eq!(raw.message().await.0, b'R');
        }
        stalled.push(raw);
    }
    let client = server.client().await;
    assert!(!client.is_closed());
    // The first of them was told to go.
    assert_eq!(stalled[0].message().await.0, b'E');
    assert_eq!(code(&server.config("wrong").connect(NoTls).await.err().unwrap()), "28P01", "the place is for who proves himself");
    assert_eq!(code(&server.config("secret").connect(NoTls).await.err().unwrap()), "53300");
}

#[tokio::test]
async fn settings_reach_the_session() {
    let server = start(WireOptions::default()).await;
    let mut config = server.config("secret");
    config.application_name("tests").options("-c statement_timeout=5s");
    let (_client, connection) = config.connect(NoTls).await.unwrap();
    assert_eq!(connection.parameter("server_version"), Some("15.8"));
    let requests = server.backend.requests.lock().unwrap();
    let parameters = &requests[0].parameters;
    assert_eq!(parameters[0], ("statement_timeout".to_owned(), "5s".to_owned()));
    assert!(parameters.contains(&("application_name".to_owned(), "tests".to_owned())));
}

#[tokio::test]
async fn a_newer_protocol_is_negotiated_down() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.start_up(0x0003_270f, &[("user", "alice"), ("database", "mesh"), ("_pq_.shiny", "1")]).await;
    let (kind, body) = raw.message().await;
    assert_eq!((kind, &body[..]), (b'v', &b"\0\x03\0\x02\0\0\0\x01_pq_.shiny\0"[..]));
    raw.authenticate().await;
    let key = raw.skip_to(b'K').await;
    assert_eq!(key.len(), 4 + 32);
    raw.skip_to(b'Z').await;
}

#[tokio::test]
async fn a_long_key_cancels() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.start_up(0x0003_0002, &[("user", "alice"), ("database", "mesh")]).await;
    raw.authenticate().await;
    let key = raw.skip_to(b'K').await;
    raw.skip_to(b'Z').await;
    raw.send(&message(b'Q', b"slow\0")).await;
    while server.backend.running() == 0 {
        tokio::task::yield_now().await;
    }
    let mut cancel = TcpStream::connect(server.address).await.unwrap();
    let mut packet = (8 + u32::try_from(key.len()).unwrap()).to_be_bytes().to_vec();
    packet.extend(80_877_102u32.to_be_bytes());
    packet.extend(&key);
    cancel.write_all(&packet).await.unwrap();
    let error = raw.skip_to(b'E').await;
    assert!(error.windows(6).any(|window| window == b"C57014"));
}

#[tokio::test]
async fn what_is_no_start_up_is_closed() {
    let server = start(WireOptions::default()).await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\x04", b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\x03", b"\x16\x03\x01"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{bytes:?}");
    }
    assert_eq!(server.stop().await.panics, 0);
}

#[tokio::test]
async fn a_silent_client_is_closed_after_the_timeout() {
    let server = start(WireOptions { authentication_timeout: Duration::from_millis(50), ..WireOptions::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

pub(super) fn tls_options(tls_required: bool) -> (WireOptions, rustls::pki_types::CertificateDer<'static>) {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (certified.cert.pem().into_bytes(), certified.signing_key.serialize_pem().into_bytes());
    let tls = Tls::new(&TlsMaterial { chain, key, clients: None }).unwrap();
    let plain = if tls_required { PlainClients::Refused } else { PlainClients::Allowed };
    (WireOptions { tls: Some(tls), plain, ..WireOptions::default() }, certified.cert.der().clone())
}

pub(super) fn connector(certificate: rustls::pki_types::CertificateDer<'static>, alpn: bool) -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    if alpn {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn tls_is_refused_in_the_clear_where_it_is_required() {
    let (options, _) = tls_options(true);
    let server = start(options).await;
    let mut config = server.config("secret");
    config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    assert_eq!(code(&config.connect(NoTls).await.err().unwrap()), "28000");
}

#[tokio::test]
async fn without_tls_only_clients_on_this_machine_are_served_unless_it_is_said_otherwise() {
    let backend = Arc::new(FakeBackend::default());
    for (address, plain, served) in [
        ("127.0.0.1:5", PlainClients::OnLoopback, true),
        ("127.9.9.9:5", PlainClients::OnLoopback, true),
        ("[::1]:5", PlainClients::OnLoopback, true),
        ("[::ffff:127.0.0.1]:5", PlainClients::OnLoopback, true),
        ("192.0.2.1:5", PlainClients::OnLoopback, false),
        ("[2001:db8::1]:5", PlainClients::OnLoopback, false),
        ("[::ffff:192.0.2.1]:5", PlainClients::OnLoopback, false),
        ("127.0.0.1:5", PlainClients::Refused, false),
        ("192.0.2.1:5", PlainClients::Allowed, true),
    ] {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let options = WireOptions { plain, ..WireOptions::default() };
        tokio::spawn(serve_stream(theirs, address.parse().unwrap(), backend.clone(), options, CancellationToken::new()));
        let mut raw = Raw::over(Box::new(ours));
        raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
        if served {
            raw.authenticate().await;
            raw.skip_to(b'Z').await;
        } else {
            raw.ends_with("28000").await;
        }
    }
    assert_eq!(WireOptions::default().plain, PlainClients::OnLoopback);
}

#[tokio::test]
async fn a_session_runs_over_requested_and_over_direct_tls() {
    let (options, certificate) = tls_options(true);
    let server = start(options).await;
    for direct in [false, true] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if !direct {
            stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 48]).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'N');
            stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'S');
        }
        let stream = connector(certificate.clone(), direct).connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let mut raw = Raw::over(Box::new(stream));
        raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
        raw.authenticate().await;
        raw.skip_to(b'Z').await;
        raw.send(&message(b'Q', b"rows 1\0")).await;
        raw.skip_to(b'D').await;
        raw.skip_to(b'Z').await;
    }
    assert!(server.backend.requests.lock().unwrap().iter().all(|request| request.connection.encryption.is_some()));
}

#[tokio::test]
async fn a_login_is_bound_to_the_certificate_or_refused() {
    let (options, certificate) = tls_options(true);
    let hash = Sha256::digest(&certificate).to_vec();
    let server = start(options).await;
    for (header, binding, accepted) in [
        ("p=tls-server-end-point,,", hash.as_slice(), true),
        ("p=tls-server-end-point,,", &[0; 32], false),
        ("p=tls-unique,,", hash.as_slice(), false),
        ("n,,", &[], false),
    ] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let stream = connector(certificate.clone(), true).connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let mut raw = Raw::over(Box::new(stream));
        raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
        assert_eq!(&raw.skip_to(b'R').await[4..], b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        assert_eq!(raw.exchange("SCRAM-SHA-256-PLUS", header, binding).await, accepted, "{header}");
        if accepted {
            raw.skip_to(b'Z').await;
        }
    }
    assert_eq!(server.backend.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn encryption_is_asked_for_once_of_each_kind_in_any_order() {
    let server = start(WireOptions::default()).await;
    let (tls, gss) = ([0, 0, 0, 8, 4, 210, 22, 47], [0, 0, 0, 8, 4, 210, 22, 48]);
    for (first, second) in [(tls, gss), (gss, tls)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        for request in [first, second] {
            stream.write_all(&request).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'N');
        }
        let mut raw = Raw::over(Box::new(stream));
        raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
        raw.authenticate().await;
        raw.skip_to(b'Z').await;
    }
    for request in [tls, gss] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&request).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
        stream.write_all(&request).await.unwrap();
        Raw::over(Box::new(stream)).ends_with("0A000").await;
    }
    for request in [tls, gss] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let start_up = Raw::start_up_packet(0x0003_0000, &[("user", "alice"), ("database", "mesh")]);
        stream.write_all(&[&request[..], &start_up].concat()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'N');
        Raw::over(Box::new(stream)).ends_with("08P01").await;
    }
}

#[tokio::test]
async fn whoever_keeps_guessing_is_slowed_down_and_others_are_not() {
    let failed_logins = FailedLogins { free: 3, wait: Duration::from_millis(100), forgotten_after: Duration::from_secs(60) };
    let server = start(WireOptions { failed_logins, ..WireOptions::default() }).await;
    for _ in 0..3 {
        assert_eq!(code(&server.config("wrong").connect(NoTls).await.err().unwrap()), "28P01");
    }
    let started = std::time::Instant::now();
    let guess = || async { code(&server.config("wrong").connect(NoTls).await.err().unwrap()).to_owned() };
    let answers = futures::future::join_all([guess(), guess(), guess()]).await;
    assert_eq!(answers, ["28P01"; 3]);
    assert!(started.elapsed() >= Duration::from_millis(300));
    server.client().await;
}

#[tokio::test]
async fn direct_tls_needs_the_protocols_name() {
    let (options, certificate) = tls_options(false);
    let server = start(options).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut stream = connector(certificate, false).connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let _ = stream.write_all(&[0, 0, 0, 9, 0, 3, 0, 0, 0]).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn what_was_slipped_in_before_tls_is_never_read_as_encrypted() {
    let (options, certificate) = tls_options(false);
    let server = start(options).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = vec![0, 0, 0, 8, 4, 210, 22, 47];
    bytes.extend(Raw::start_up_packet(0x0003_0000, &[("user", "mallory"), ("database", "mesh")]));
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'S');
    assert!(connector(certificate, false).connect("localhost".try_into().unwrap(), stream).await.is_err());
    assert!(server.backend.refused.lock().unwrap().is_empty());
}

#[tokio::test]
async fn refusals_before_a_proof_fill_no_log() {
    let server = start(WireOptions { plain: PlainClients::Refused, ..WireOptions::default() }).await;
    let name = "é".repeat(4_000);
    for _ in 0..25 {
        let mut raw = Raw::connect(server.address).await;
        raw.start_up(0x0003_0000, &[("user", &name), ("database", "mesh")]).await;
        raw.ends_with("28000").await;
    }
    let refused = server.backend.refused.lock().unwrap();
    assert_eq!(refused.len(), 20);
    assert!(refused.iter().all(|refused| refused.user == "é".repeat(31) && refused.database == "mesh"));
}
