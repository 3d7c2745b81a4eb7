//! Certificates of clients: who may come in with which one, alone and beside a password, and what a change of the files does.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_postgres::{Client, NoTls};

use crate::eventually::eventually;
use crate::gateway::{Gateway, World, configuration};
use crate::records::records;

const FULL_NAME: &str = "SELECT full_name FROM customer.customer_360 LIMIT 1";

/// Who vouches for clients.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap() }
    }

    fn vouches_for(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { certificate, key: key.serialize_der() }
    }
}

/// A gateway with TLS that knows an authority of clients.
struct Scene {
    world: World,
    gateway: Gateway,
    authority: Authority,
    server: CertificateDer<'static>,
}

impl Scene {
    async fn new(more: &str) -> Self {
        let world = World::quickstart();
        let authority = Authority::new();
        let server = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        world.write("server.pem", &server.cert.pem());
        world.write("server.key", &server.signing_key.serialize_pem());
        world.write("clients.pem", &authority.issuer.pem());
        let all = std::fs::read_to_string(world.path("principals.yaml")).unwrap();
        world.write(
            "principals.yaml",
            &format!("{}\n  - {{name: loader, roles: [pii_authorized]}}\n  - {{name: viewer}}\n", all.trim_end()),
        );
        let tls = "tls:\n  certificate: server.pem\n  key: server.key\n  client_certificates:\n    authorities: clients.pem\n";
        let gateway = world.serve_with(&format!("{tls}{more}")).await;
        Self { world, gateway, authority, server: server.cert.der().clone() }
    }

    /// A session over TLS that begins with the handshake.
    async fn connect(&self, user: &str, password: &str, identity: Option<&Identity>) -> Result<Client, String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.server.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::try_from(key.clone()).unwrap();
                builder.with_client_auth_cert(vec![certificate.clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        let stream = TcpStream::connect(self.gateway.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await.map_err(|_| "no handshake".to_owned())?;
        let connected = configuration(self.gateway.address(), user, password).connect_raw(stream, NoTls).await;
        // A certificate that is refused ends the connection after the client's side of the handshake.
        let (client, connection) = connected.map_err(|error| error.code().map_or("no handshake", |code| code.code()).to_owned())?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn tries(&self, user: &str, password: &str, identity: Option<&Identity>) -> Result<(), String> {
        let client = self.connect(user, password, identity).await?;
        client.simple_query(FULL_NAME).await.map(drop).map_err(|error| error.code().unwrap().code().to_owned())
    }
}

fn refused<T>(sqlstate: &str) -> Result<T, String> {
    Err(sqlstate.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_alone_is_its_login_with_the_rights_of_the_file() {
    let scene = Scene::new("    alone: true\n").await;
    let [loader, viewer, nobody] = ["loader", "viewer", "nobody"].map(|name| scene.authority.vouches_for(name));
    assert_eq!(scene.tries("loader", "", Some(&loader)).await, Ok(()));
    assert_eq!(scene.tries("viewer", "", Some(&viewer)).await, refused("42501"));
    assert_eq!(scene.tries("loader", "", Some(&viewer)).await, refused("28000"));
    assert_eq!(scene.tries("steward", "steward", Some(&viewer)).await, refused("28000"));
    assert_eq!(scene.tries("nobody", "nobody", Some(&nobody)).await, refused("28P01"));
    assert_eq!(scene.tries("loader", "", Some(&Authority::new().vouches_for("loader"))).await, refused("no handshake"));
    // A login without a password needs its certificate; one with a password does not.
    assert_eq!(scene.tries("loader", "loader", None).await, refused("28P01"));
    assert_eq!(scene.tries("pii_analyst", "pii_analyst", None).await, Ok(()));
    let log = eventually("all is recorded", async || {
        let log = records(&scene.world);
        log.iter().any(|record| record["reason"].as_str().is_some_and(|reason| reason.contains("certificate:"))).then_some(log)
    });
    let log = log.await;
    assert!(
        log.iter()
            .any(|record| record["kind"] == "connection_opened" && record["proof"] == "certificate" && record["principal"] == "loader")
    );
    assert!(log.iter().any(|record| record["reason"] == "the certificate does not stand for this login: viewer"));
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_and_password_both_hold_or_nobody_comes_in() {
    let scene = Scene::new("    required: true\n    users: [{name: \"*\", login: \"*_analyst\"}]\n").await;
    let identity = scene.authority.vouches_for("pii");
    assert_eq!(scene.tries("pii_analyst", "pii_analyst", Some(&identity)).await, Ok(()));
    assert_eq!(scene.tries("pii_analyst", "wrong", Some(&identity)).await, refused("28P01"));
    assert_eq!(scene.tries("analyst", "analyst", Some(&identity)).await, refused("28000"));
    assert_eq!(scene.tries("pii_analyst", "pii_analyst", None).await, refused("28000"));
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_files_hold_for_the_next_handshake_if_they_fit_together() {
    let scene = Scene::new("    alone: true\n").await;
    let old = scene.authority.vouches_for("loader");
    let open = scene.connect("loader", "", Some(&old)).await.unwrap();
    let successor = Authority::new();
    let new = successor.vouches_for("loader");
    scene.world.replace("clients.pem", &successor.issuer.pem());
    eventually("the new authority holds", async || scene.tries("loader", "", Some(&new)).await.ok()).await;
    assert_eq!(scene.tries("loader", "", Some(&old)).await, refused("no handshake"));
    // Who is in stays in.
    open.simple_query(FULL_NAME).await.unwrap();
    scene.world.replace("server.key", "no key");
    eventually("the fault is recorded", async || {
        let refused = |record: &serde_json::Value| record["what"] == "certificates" && record["outcome"] == "refused";
        records(&scene.world).iter().any(refused).then_some(())
    })
    .await;
    assert_eq!(scene.tries("loader", "", Some(&new)).await, Ok(()));
    scene.gateway.stop().await;
}
