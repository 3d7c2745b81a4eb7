//! How a server is connected to: encrypted or not, once or often, and how long it is waited for.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::fixture::Database;
use crate::ports::tests::{field, message, open, product, refusal, rows, texts};
use crate::ports::{PortOptions, Ports, Statement};
use crate::product::{CredentialsRef, DataType, PortFormat, Product, ServerTls, TlsMode};

fn options(folder: &Path) -> PortOptions {
    PortOptions { data_root: folder.to_owned(), credentials_root: Some(folder.to_owned()), ..PortOptions::default() }
}

fn texts_of(names: &[&str]) -> Option<Vec<crate::product::Field>> {
    Some(names.iter().map(|name| field(name, DataType::String)).collect())
}

/// An end of TLS before the test server: a certificate of an authority of its own for `localhost`.
struct Front {
    port: u16,
    authority: String,
    handshakes: Arc<AtomicUsize>,
}

impl Front {
    async fn before(server: SocketAddr) -> Self {
        let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let authority = parameters.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let handshakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&handshakes);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let mut request = [0_u8; 8];
                    client.read_exact(&mut request).await.ok()?;
                    client.write_all(b"S").await.ok()?;
                    let mut client = acceptor.accept(client).await.ok()?;
                    counted.fetch_add(1, Ordering::SeqCst);
                    let mut server = TcpStream::connect(server).await.ok()?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
                });
            }
        });
        Self { port, authority: authority.pem(), handshakes }
    }
}

fn protected(product: &Product, mode: TlsMode, authorities: Option<&str>) -> Product {
    let mut product = product.clone();
    for port in &mut product.output_ports {
        port.tls = ServerTls { mode, authorities: authorities.map(|file| CredentialsRef::File(file.to_owned())) };
    }
    product
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_verified_as_far_as_the_contract_asks() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    database.create("secured", "t text", &[vec![Some("seen".to_owned())]]).await;
    let front = Front::before(database.address()).await;
    let other = Front::before(database.address()).await;
    std::fs::write(folder.path().join("ca.pem"), &front.authority).unwrap();
    std::fs::write(folder.path().join("other.pem"), &other.authority).unwrap();
    std::fs::write(folder.path().join("none.pem"), "nothing").unwrap();
    let ports = Ports::new(options(folder.path()));
    let at = |host: &str| product(PortFormat::Postgres, &database.location_at(host, front.port, "secured"), texts_of(&["t"]));
    let (named, unnamed) = (at("localhost"), at("127.0.0.1"));

    let may = [
        (&named, TlsMode::VerifyFull, Some("ca.pem")),
        (&unnamed, TlsMode::VerifyCa, Some("ca.pem")),
        (&unnamed, TlsMode::Require, None),
        (&unnamed, TlsMode::Prefer, None),
    ];
    for (index, (product, mode, authorities)) in may.into_iter().enumerate() {
        assert_eq!(rows(&ports, &protected(product, mode, authorities)).await.unwrap(), ["seen"], "{mode:?}");
        assert_eq!(front.handshakes.load(Ordering::SeqCst), index + 1, "{mode:?} is not encrypted on a connection of its own");
    }
    let may_not = [
        (&unnamed, TlsMode::VerifyFull, Some("ca.pem")),
        (&named, TlsMode::VerifyFull, Some("other.pem")),
        (&named, TlsMode::VerifyCa, Some("other.pem")),
        (&named, TlsMode::VerifyFull, None),
        (&named, TlsMode::VerifyFull, Some("none.pem")),
        (&named, TlsMode::VerifyFull, Some("absent.pem")),
    ];
    for (product, mode, authorities) in may_not {
        let (code, text) = refusal(&ports, &protected(product, mode, authorities)).await;
        assert_eq!(code, "HV00N", "{mode:?} {authorities:?}");
        assert!(!text.contains("localhost") && !text.contains(".pem") && !text.contains(&front.port.to_string()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    database.create("plain", "t text", &[vec![Some("seen".to_owned())]]).await;
    let plain = product(PortFormat::Postgres, &database.location("plain"), texts_of(&["t"]));
    let ports = Ports::new(options(folder.path()));
    for mode in [TlsMode::Disable, TlsMode::Prefer] {
        assert_eq!(rows(&ports, &protected(&plain, mode, None)).await.unwrap(), ["seen"]);
    }
    assert_eq!(refusal(&ports, &protected(&plain, TlsMode::Require, None)).await.0, "HV00N");
    // The configuration asks for more than the contract.
    let strict = Ports::new(PortOptions { postgres_tls: TlsMode::Require, ..options(folder.path()) });
    assert_eq!(refusal(&strict, &protected(&plain, TlsMode::Disable, None)).await.0, "HV00N");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_told_of_the_statement_and_ends_with_it() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    database.create("facts", "id int8", &[]).await;
    let view = database.table("told");
    let settings = ["application_name", "transaction_read_only", "statement_timeout"];
    let list = settings.map(|name| format!("current_setting('{name}') AS {name}")).join(", ");
    database.run(&format!("CREATE OR REPLACE VIEW {view} AS SELECT {list}")).await;
    let product = product(PortFormat::Postgres, &database.location("told"), texts_of(&settings));
    let ports = Ports::new(options(folder.path()));
    let table = open(&ports, &product).await.unwrap();
    let statement = |left: u64| Statement { query_id: format!("q-{left}"), deadline: Some(Instant::now() + Duration::from_secs(left)) };
    for left in [60, 120] {
        let context = SessionContext::new_with_config(SessionConfig::new().with_extension(Arc::new(statement(left))));
        let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
        let stream = datafusion::physical_plan::execute_stream(plan, context.task_ctx()).unwrap();
        let batches: Vec<_> = stream.try_collect().await.unwrap();
        let told = texts(&batches);
        let (name, timeout) = (format!("meshgate q-{left}|on|"), told[0].rsplit('|').next().unwrap().to_owned());
        assert!(told[0].starts_with(&name) && timeout != "0", "{told:?}");
    }
    // Nothing of it is left on the connection.
    assert_eq!(rows(&ports, &product).await.unwrap(), ["meshgate|on|0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_comes_again_is_prepared_and_prepared_anew_when_its_table_has_changed() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    database.create("remembered", "t varchar(9)", &[vec![Some("seen".to_owned())]]).await;
    let name = database.table("remembered");
    let view = database.table("remembering");
    let count = "(SELECT count(*) FROM pg_prepared_statements)::text";
    database.run(&format!("CREATE OR REPLACE VIEW {view} AS SELECT {count} AS prepared FROM {name}")).await;
    let of = |table: &str, column: &str| product(PortFormat::Postgres, &database.location(table), texts_of(&[column]));
    let (table, counted) = (of("remembered", "t"), of("remembering", "prepared"));
    let ports = Ports::new(options(folder.path()));
    // One connection, for it is free each time. The columns of both are asked for by one query, which is prepared with the second of them.
    assert_eq!(rows(&ports, &table).await.unwrap(), ["seen"]);
    assert_eq!(rows(&ports, &counted).await.unwrap(), ["1"]);
    assert_eq!(rows(&ports, &table).await.unwrap(), ["seen"]);
    assert_eq!(rows(&ports, &counted).await.unwrap(), ["3"]);
    assert_eq!(rows(&ports, &table).await.unwrap(), ["seen"]);
    assert_eq!(rows(&ports, &counted).await.unwrap(), ["3"]);
    // Under the prepared query, and within the moment for which a look at the table holds: then the change is told as such.
    database.run(&format!("DROP VIEW {view}; ALTER TABLE {name} ALTER COLUMN t TYPE text")).await;
    match rows(&ports, &table).await {
        Ok(seen) => assert_eq!(seen, ["seen"]),
        Err(error) => assert_eq!(message(&error).0, "HV021"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_used_again_until_it_is_idle_for_too_long() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    database.create("facts", "id int8", &[]).await;
    let view = database.table("backend");
    database.run(&format!("CREATE OR REPLACE VIEW {view} AS SELECT pg_backend_pid() AS pid")).await;
    let product = product(PortFormat::Postgres, &database.location("backend"), Some(vec![field("pid", DataType::Int32)]));
    let ports = Ports::new(PortOptions { postgres_idle_timeout: Duration::from_millis(500), ..options(folder.path()) });
    let first = rows(&ports, &product).await.unwrap();
    assert_eq!(rows(&ports, &product).await.unwrap(), first);
    let gone = format!(
        "DO $$ BEGIN FOR i IN 1..200 LOOP PERFORM pg_stat_clear_snapshot(); IF NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {}) \
         THEN RETURN; END IF; PERFORM pg_sleep(0.05); END LOOP; RAISE 'still connected'; END $$",
        first[0]
    );
    database.run(&gone).await;
    assert_ne!(rows(&ports, &product).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_have_a_limit_and_waiting_for_one_ends() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), database.login()).unwrap();
    database.create("many", "id int8, pad text", &[]).await;
    let name = database.table("many");
    database.run(&format!("INSERT INTO {name} SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i")).await;
    let product =
        product(PortFormat::Postgres, &database.location("many"), Some(vec![field("id", DataType::Int64), field("pad", DataType::String)]));
    let limits = PortOptions { postgres_pool_max: 1, postgres_wait_timeout: Duration::from_millis(200), ..options(folder.path()) };
    let ports = Ports::new(limits);
    let table = open(&ports, &product).await.unwrap();
    let context = SessionContext::new();
    let plan = table.scan(&context.state(), None, &[], None).await.unwrap();
    let mut first = datafusion::physical_plan::execute_stream(Arc::clone(&plan), context.task_ctx()).unwrap();
    first.next().await.unwrap().unwrap();
    let mut second = datafusion::physical_plan::execute_stream(Arc::clone(&plan), context.task_ctx()).unwrap();
    assert_eq!(message(&second.next().await.unwrap().unwrap_err()).0, "53300");
    let rest: Vec<_> = first.try_collect().await.unwrap();
    assert!(!rest.is_empty());
    let third = datafusion::physical_plan::execute_stream(plan, context.task_ctx()).unwrap();
    let all: Vec<_> = third.try_collect().await.unwrap();
    assert_eq!(all.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 50_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_is_taken_up() {
    let Some(database) = Database::from_environment().await else { return };
    let folder = tempfile::tempdir().unwrap();
    database.create("rotated", "t text", &[vec![Some("seen".to_owned())]]).await;
    let name = database.table("rotated");
    let role = format!("role_{}", name.replace('.', "_"));
    let schema = name.split('.').next().unwrap();
    database
        .run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'old'; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {name} TO {role}; \
             ALTER ROLE {role} SET statement_timeout = '7s'"
        ))
        .await;
    let product = product(PortFormat::Postgres, &database.location("rotated"), texts_of(&["t"]));
    let ports = Ports::new(options(folder.path()));
    std::fs::write(folder.path().join("login"), format!("{role}:old")).unwrap();
    assert_eq!(rows(&ports, &product).await.unwrap(), ["seen"]);
    database.run(&format!("ALTER ROLE {role} PASSWORD 'new'")).await;
    std::fs::write(folder.path().join("login"), format!("{role}:wrong")).unwrap();
    let (code, text) = refusal(&ports, &product).await;
    assert!(code == "HV00N" && !text.contains("wrong") && !text.contains(&role), "{code} {text}");
    std::fs::write(folder.path().join("login"), format!("{role}:new")).unwrap();
    assert_eq!(rows(&ports, &product).await.unwrap(), ["seen"]);
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_waited_for_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("login"), "nobody:nothing").unwrap();
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("postgres://127.0.0.1:{}/d/s/t", silent.local_addr().unwrap().port());
    let product = product(PortFormat::Postgres, &location, texts_of(&["t"]));
    let timeout = Duration::from_millis(400);
    let ports = Ports::new(PortOptions { connect_timeout: timeout, ..options(folder.path()) });
    let start = Instant::now();
    assert_eq!(refusal(&ports, &product).await.0, "HV00N");
    assert!(start.elapsed() >= timeout);
    let again = Instant::now();
    for _ in 0..10 {
        assert_eq!(refusal(&ports, &product).await.0, "HV00N");
    }
    assert!(again.elapsed() < timeout, "{:?}", again.elapsed());
}
