//! The command line.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use meshgate::config::{self, Config};
use meshgate::server::{self, StartOptions, commands};
use meshgate::telemetry;

/// One Postgres endpoint over the data products of a mesh, with policies enforced in process.
#[derive(Parser)]
#[command(name = "meshgate", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the data products that a configuration names.
    Serve {
        /// The configuration (YAML).
        config: PathBuf,
        /// Listen here instead of where the configuration says; may be repeated.
        #[arg(long, value_name = "ADDRESS")]
        listen: Vec<SocketAddr>,
        /// Write the log as JSON lines.
        #[arg(long)]
        log_json: bool,
        /// Stand the clock still at this moment (RFC 3339); for tests and reproductions.
        #[arg(long, value_name = "TIME")]
        now: Option<DateTime<Utc>>,
        /// Accept contracts that lower protection (fewer PII fields, longer retention, …) when they change on disk.
        #[arg(long)]
        allow_lowered_protection: bool,
    },
    /// Check everything that a configuration names; all faults at once.
    Check {
        /// The configuration (YAML).
        config: PathBuf,
    },
    /// Make a password verifier for the principals' file; the password is read from standard input.
    Passwd {
        /// Rounds of the key derivation.
        #[arg(long, default_value_t = 4096)]
        iterations: u32,
    },
    /// Work with policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Work with the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print the JSON Schema of a file that meshgate reads: contract, domains, principals or config.
    Schema {
        /// Which file.
        of: String,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Run the `test_` rules of a bundle.
    Test {
        /// The bundle's folder.
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Find any changed, removed, reordered or truncated record.
    Verify {
        /// The log's folder.
        folder: PathBuf,
    },
}

/// Address space, not memory: only what is touched is used. Deep but legal statements are planned and run on these stacks.
const STACK_BYTES: usize = 256 << 20;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Who reads through a pipe and has seen enough needs no message.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) => {
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "meshgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<bool> {
    let out = &mut std::io::stdout().lock();
    match command {
        Command::Serve { config, listen, log_json, now, allow_lowered_protection } => {
            let format = if log_json { telemetry::Format::Json } else { telemetry::Format::Text };
            let filter = std::env::var("MESHGATE_LOG").unwrap_or_else(|_| "info".to_owned());
            telemetry::init(format, &filter)?;
            let config = load(&config)?;
            let listen = (!listen.is_empty()).then_some(listen);
            let clock = now.map(server::clock_standing_at);
            runtime()?.block_on(serve(config, StartOptions { listen, clock, allow_lowered_protection }))
        }
        Command::Check { config } => commands::check(&load(&config)?, out),
        Command::Passwd { iterations } => {
            if std::io::stdin().is_terminal() {
                write!(std::io::stderr(), "Password (it will show): ")?;
            }
            let mut password = String::new();
            std::io::stdin().read_line(&mut password).context("no password on standard input")?;
            let password = password.trim_end_matches(['\r', '\n']);
            anyhow::ensure!(!password.is_empty(), "the password is empty");
            commands::passwd(password, iterations, out)
        }
        Command::Policy(PolicyCommand::Test { folder }) => commands::policy_test(&folder, out),
        Command::Audit(AuditCommand::Verify { folder }) => commands::audit_verify(&folder, out),
        Command::Schema { of } => commands::schema(&of, out),
    }
}

/// Queries compute on the same threads that serve sockets. With more threads than cores the system gives every connection its turn,
/// also while as many queries as there are cores compute without a pause.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(cores * 4).thread_stack_size(STACK_BYTES).build()
}

fn load(path: &std::path::Path) -> anyhow::Result<Config> {
    config::load(path).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration has faults:\n{}", lines.join("\n"))
    })
}

async fn serve(config: Config, options: StartOptions) -> anyhow::Result<bool> {
    let (database, example) = (config.database.clone(), config.example);
    let running = server::start(config, options).await?;
    for address in running.addresses() {
        let out = &mut std::io::stdout().lock();
        writeln!(out, "meshgate listens on {address}")?;
        if example.is_some() {
            writeln!(out, "warning: this is an example; each principal's password is its own name. Do not serve real data with it.")?;
            writeln!(out, "  try: PGPASSWORD=analyst psql -h {} -p {} -U analyst {database}", address.ip(), address.port())?;
        } else {
            writeln!(out, "  connect: psql -h {} -p {} -U <principal> {database}", address.ip(), address.port())?;
        }
    }
    wait_for_signal().await?;
    tracing::info!("shutting down: running statements may end");
    for served in running.stop().await? {
        tracing::info!(connections = served.connections, panics = served.panics, drained = served.drained, "stopped");
    }
    Ok(true)
}

async fn wait_for_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
