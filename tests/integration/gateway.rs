//! A gateway that runs in this process over a folder of its own, on a port that was free.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use meshgate::server::{StartOptions, clock_standing_at, quickstart};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a gateway serves: a folder with `catalogs`, `data` and the configuration; it is removed with the world.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// A world without a product, with the policies and the principals of the repository.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["catalogs", "data"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let world = Self { folder };
        world.write("data/erased_subjects.csv", "subject_id\n");
        world.copy_folder(&repository().join("policies"), "policies");
        let principals = repository().join("examples/quickstart/principals.yaml");
        world.write("principals.yaml", &std::fs::read_to_string(principals).unwrap());
        world
    }

    /// The quickstart of the repository, with rows as of today.
    pub(crate) fn quickstart() -> Self {
        let world = Self::empty();
        quickstart::generate(&world.path("data"), chrono::Utc::now()).unwrap();
        world.copy_folder(&repository().join("catalogs"), "catalogs");
        world
    }

    /// One product of one column, `demo.notes`, over CSV at a location.
    pub(crate) fn with_notes(location: &str) -> Self {
        let world = Self::empty();
        world.write(
            "catalogs/domains.yaml",
            "domains:\n  demo: {owner_team: demo, oncall_pagerduty: demo, source_products: [notes], consumer_products: []}\n",
        );
        world.write(
            "catalogs/demo/notes.yaml",
            &format!(
                "apiVersion: data-mesh/v1
kind: DataProduct
metadata: {{name: notes, version: \"1.0.0\", owner: demo, domain: demo, tags: []}}
spec:
  description: Notes.
  outputPorts:
    - {{name: only, type: batch, format: csv, location: \"{location}\"}}
  inputPorts: []
  schema:
    - {{name: id, type: int32}}
  governance: {{pii_fields: [], data_classification: public, gdpr_subject_to_erasure: false}}
"
            ),
        );
        world
    }

    /// A path below the world's folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Puts a text there.
    pub(crate) fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Puts the files of a folder there, folders within it included.
    pub(crate) fn copy_folder(&self, from: &Path, below: &str) {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let to = format!("{below}/{}", path.file_name().unwrap().to_string_lossy());
            if path.is_dir() {
                self.copy_folder(&path, &to);
            } else {
                self.write(&to, &std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// Changes a file of the world as an operator would: in one step.
    pub(crate) fn edit(&self, below: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(below)).unwrap();
        assert!(text.contains(from), "{below} has no {from:?}");
        self.replace(below, &text.replacen(from, to, 1));
    }

    /// Puts a text in the place of a file, in one step.
    pub(crate) fn replace(&self, below: &str, text: &str) {
        self.write("incoming", text);
        std::fs::rename(self.path("incoming"), self.path(below)).unwrap();
    }

    /// Puts bytes in the place of a file, in one step.
    pub(crate) fn replace_bytes(&self, below: &str, bytes: &[u8]) {
        std::fs::write(self.path("incoming"), bytes).unwrap();
        std::fs::rename(self.path("incoming"), self.path(below)).unwrap();
    }

    /// Writes the configuration, and answers where it is.
    pub(crate) fn configure(&self) -> PathBuf {
        self.configure_from("policies", "data/erased_subjects.csv")
    }

    /// The same with further keys.
    pub(crate) fn configure_with(&self, more: &str) -> PathBuf {
        let path = self.configure();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{more}")).unwrap();
        path
    }

    /// The same with policies and erasures from elsewhere.
    fn configure_from(&self, policies: &str, erasures: &str) -> PathBuf {
        self.write(
            "meshgate.yaml",
            &format!(
                "listen: 127.0.0.1:0\ndatabase: mesh\ncatalogs: catalogs\npolicies: {policies}\nprincipals: principals.yaml\n\
                 erasures: {erasures}\ndata: data\naudit: {{folder: audit}}\nlineage: {{file: lineage/openlineage.jsonl}}\n",
            ),
        );
        self.path("meshgate.yaml")
    }

    /// Starts a gateway over it.
    pub(crate) async fn serve(&self) -> Gateway {
        Gateway { running: start(&self.configure(), StartOptions::default()).await.unwrap() }
    }

    /// Starts a gateway over it with further keys in its configuration.
    pub(crate) async fn serve_with(&self, more: &str) -> Gateway {
        Gateway { running: start(&self.configure_with(more), StartOptions::default()).await.unwrap() }
    }

    /// Starts a gateway over it whose clock stands still.
    pub(crate) async fn serve_at(&self, moment: DateTime<Utc>) -> Gateway {
        let options = StartOptions { clock: Some(clock_standing_at(moment)), ..StartOptions::default() };
        Gateway { running: start(&self.configure(), options).await.unwrap() }
    }

    /// Starts a gateway over it by a clock.
    pub(crate) async fn serve_by(&self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Gateway {
        let options = StartOptions { clock: Some(std::sync::Arc::new(clock)), ..StartOptions::default() };
        Gateway { running: start(&self.configure(), options).await.unwrap() }
    }

    /// Starts a gateway over it that takes changes which lower protection.
    pub(crate) async fn serve_allowing_lowered_protection(&self) -> Gateway {
        let options = StartOptions { allow_lowered_protection: true, ..StartOptions::default() };
        Gateway { running: start(&self.configure(), options).await.unwrap() }
    }

    /// Starts a gateway over it that has its policies and erasures from elsewhere.
    pub(crate) async fn serve_from(&self, policies: &str, erasures: &str) -> Gateway {
        self.try_serve_from(policies, erasures).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, or why it did not start.
    pub(crate) async fn try_serve_from(&self, policies: &str, erasures: &str) -> Result<Gateway, String> {
        let started = start(&self.configure_from(policies, erasures), StartOptions::default()).await;
        started.map(|running| Gateway { running }).map_err(|error| format!("{error:#}"))
    }
}

async fn start(configuration: &Path, options: StartOptions) -> anyhow::Result<meshgate::server::Running> {
    let config = meshgate::config::load(configuration).unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(|fault| fault.to_string()).collect::<Vec<_>>().join("\n"));
    });
    meshgate::server::start(config, options).await
}

/// A running gateway.
pub(crate) struct Gateway {
    running: meshgate::server::Running,
}

impl Gateway {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    /// Serves one client over a stream in memory, as if it had connected from that address.
    pub(crate) async fn serve_stream(&self, stream: tokio::io::DuplexStream, address: SocketAddr) {
        self.running.serve_stream(stream, address).await;
    }

    /// A session of that login; its password is its name.
    pub(crate) async fn login(&self, user: &str) -> Client {
        login(self.address(), user).await.unwrap()
    }

    /// Drains and ends it.
    pub(crate) async fn stop(self) {
        self.running.stop().await.unwrap();
    }
}

/// A session of that login at a gateway; its password is its name.
pub(crate) async fn login(address: SocketAddr, user: &str) -> Result<Client, tokio_postgres::Error> {
    // The connection ends when the client is dropped.
    connect(&configuration(address, user, user)).await.map(|(client, _)| client)
}

/// How that login connects to a gateway.
pub(crate) fn configuration(address: SocketAddr, user: &str, password: &str) -> Config {
    let mut config = Config::new();
    config.host(address.ip().to_string()).port(address.port()).dbname("mesh").user(user).password(password).ssl_mode(SslMode::Disable);
    config
}

/// A session, and the task that holds its socket.
pub(crate) async fn connect(config: &Config) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    let socket = tokio::spawn(async move {
        // How it ended shows in what the client was waiting for.
        connection.await.ok();
    });
    Ok((client, socket))
}
