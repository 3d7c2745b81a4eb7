//! The command line.

use std::io::{IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use meshgate::config::{self, Config};
use meshgate::server::commands::{DiffOptions, EvalOptions, ExplainOptions, ExportOptions, HeadsOf, ReplayOptions, TestRun};
use meshgate::server::{self, StartOptions, commands};
use meshgate::telemetry;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Many small and short-lived values on every thread, and arrays that come from one and end on another: what the C library's allocator is
/// slow at, and does not give back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(unsafe_code, reason = "the allocator is asked in C alone")]
unsafe extern "C" {
    /// Gives back every page that nothing lies in, whichever thread left it.
    safe fn mi_collect(force: bool);
}

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
        /// Accept changes that lower protection while serving: contracts (fewer PII fields, longer retention, …), an erasure list that
        /// loses most of its people, and policies without a package that a contract names and they had.
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
    /// Explain what the policies make of a query: which columns and rows, by which rule, and where it runs. Nothing is read.
    Explain {
        /// The configuration (YAML).
        config: PathBuf,
        /// For this login; without it, for a login without roles.
        #[arg(long = "as", value_name = "USER")]
        user: Option<String>,
        /// What the login says the data is for.
        #[arg(long)]
        purpose: Option<String>,
        /// How to write the explanation.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// The query.
        sql: String,
    },
    /// Work with policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Work with the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Work with lineage.
    #[command(subcommand)]
    Lineage(LineageCommand),
    /// Tell other catalogues of the mesh.
    #[command(subcommand)]
    Export(ExportCommand),
    /// Print the JSON Schema of a file that meshgate reads: contract, domains, principals or config; or of a record of the audit log: audit.
    Schema {
        /// Which file.
        of: String,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Run the `test_` rules of a bundle, as `opa test` does. Exit codes: 0, all passed; 2, not all, or too few lines covered; 1, nothing
    /// could be tested.
    Test {
        /// Folders, archives and files of the bundle.
        #[arg(default_value = "policies")]
        paths: Vec<PathBuf>,
        /// Run only tests whose full name (data.package.rule) this regular expression matches.
        #[arg(long, value_name = "REGEX")]
        run: Option<String>,
        /// Report which lines the tests evaluate.
        #[arg(long)]
        coverage: bool,
        /// Fail if fewer lines than this are covered, in percent.
        #[arg(long, value_name = "PERCENT")]
        threshold: Option<f64>,
        /// Do not fail because tests were skipped.
        #[arg(short = 'z', long)]
        exit_zero_on_skipped: bool,
        /// How to write the report.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Ask a bundle a query, as `opa eval` does. Exit codes: 0, answered or undefined; 1, undefined with --fail; 2, it failed.
    Eval {
        /// A configuration (YAML), whose catalog is then in `data`; or the folder, the archive or a file of a bundle.
        of: PathBuf,
        /// A JSON file with the input; `-` is standard input.
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// The query; without one, the mesh-wide package.
        query: Option<String>,
        /// Fail if the answer is undefined.
        #[arg(long)]
        fail: bool,
        /// `text` prints the value, `json` what `opa eval` prints.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Judge the audited questions of the past by a candidate bundle: who gains or loses what. Exit codes: 0, nobody gains; 1, somebody may;
    /// 2, it failed.
    Replay {
        /// The configuration (YAML).
        config: PathBuf,
        /// The candidate: a folder or an archive.
        #[arg(long, value_name = "BUNDLE")]
        bundle: PathBuf,
        /// Only decisions from then on (RFC 3339).
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<Utc>>,
        /// Only decisions before then (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: Option<DateTime<Utc>>,
        /// How to write the report.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

#[derive(Subcommand)]
enum LineageCommand {
    /// Compare the inputs that contracts declare with what was read in the name of their products. Exit codes: 0, no gap; 1, gaps; 2, it
    /// failed.
    Diff {
        /// The configuration (YAML).
        config: PathBuf,
        /// Only what was read from then on (RFC 3339).
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<Utc>>,
        /// Only what was read before then (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: Option<DateTime<Utc>>,
        /// How to write the report.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

#[derive(Subcommand)]
enum ExportCommand {
    /// The contracts and the lineage as metadata of DataHub: to standard output, as a file that its command line takes, or to its REST API.
    Datahub {
        /// The configuration (YAML).
        config: PathBuf,
        /// Write into this file.
        #[arg(long, value_name = "FILE", conflicts_with = "to")]
        out: Option<PathBuf>,
        /// Send to this server (http://datahub-gms:8080).
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        /// Where the server's access token is: env:NAME or file:PATH.
        #[arg(long, value_name = "REFERENCE", requires = "to")]
        token: Option<String>,
        /// Observed lineage only from then on (RFC 3339).
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<Utc>>,
        /// Say that it happens at this moment (RFC 3339).
        #[arg(long, value_name = "TIME")]
        now: Option<DateTime<Utc>>,
    },
}

/// How a tool writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl From<Format> for commands::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Find any changed, removed, reordered or truncated record.
    Verify {
        /// The log's folder.
        folder: PathBuf,
        /// Heads of the log that were kept elsewhere, one a line.
        #[arg(long, value_name = "FILE", requires = "key")]
        heads: Option<PathBuf>,
        /// The public key that they are signed with.
        #[arg(long, value_name = "BASE64", requires = "heads")]
        key: Option<String>,
    },
    /// Make a key that signs heads of the log; prints its public half.
    Keygen {
        /// The file of the private half; it must not exist.
        file: PathBuf,
    },
}

/// Address space, not memory: only what is touched is used. Deep but legal statements are planned and run on these stacks.
const STACK_BYTES: usize = 256 << 20;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let fault_code = fault_code(&arguments.command);
    match run(arguments.command) {
        Ok(code) => ExitCode::from(code),
        // Who reads through a pipe and has seen enough needs no message.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) => {
            ExitCode::from(fault_code)
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "meshgate: {error:#}");
            ExitCode::from(fault_code)
        }
    }
}

/// The exit code of a command that could not do its work.
fn fault_code(command: &Command) -> u8 {
    match command {
        Command::Policy(PolicyCommand::Eval { .. } | PolicyCommand::Replay { .. }) | Command::Lineage(_) => 2,
        _ => 1,
    }
}

fn run(command: Command) -> anyhow::Result<u8> {
    let out = &mut std::io::stdout().lock();
    match command {
        Command::Serve { config, listen, log_json, now, allow_lowered_protection } => {
            let format = if log_json { telemetry::Format::Json } else { telemetry::Format::Text };
            let filter = std::env::var("MESHGATE_LOG").unwrap_or_else(|_| "info".to_owned());
            let _written_to_the_end = telemetry::init(format, &filter)?;
            let config = load(&config)?;
            let listen = (!listen.is_empty()).then_some(listen);
            let clock = now.map(server::clock_standing_at);
            let runtime = runtime()?;
            let served = runtime
                .block_on(serve(config, StartOptions { listen, clock, allow_lowered_protection, give_back: Some(|| mi_collect(true)) }));
            // A thread may still compute what nobody waits for any more.
            runtime.shutdown_background();
            served.map(code)
        }
        Command::Check { config } => commands::check(&load(&config)?, out).map(code),
        Command::Passwd { iterations } => {
            if std::io::stdin().is_terminal() {
                write!(std::io::stderr(), "Password (it will show): ")?;
            }
            let mut password = String::new();
            std::io::stdin().read_line(&mut password).context("no password on standard input")?;
            let password = password.trim_end_matches(['\r', '\n']);
            anyhow::ensure!(!password.is_empty(), "the password is empty");
            commands::passwd(password, iterations, out).map(code)
        }
        Command::Explain { config, user, purpose, format, sql } => {
            let asked = ExplainOptions { user, purpose, sql, format: format.into() };
            runtime()?.block_on(commands::explain(&load(&config)?, &asked, out)).map(code)
        }
        Command::Policy(command) => policy(command, out),
        Command::Audit(AuditCommand::Verify { folder, heads, key }) => {
            let kept = heads.zip(key).map(|(file, key)| HeadsOf { file, key });
            commands::audit_verify(&folder, kept.as_ref(), out).map(code)
        }
        Command::Audit(AuditCommand::Keygen { file }) => commands::audit_keygen(&file, out).map(code),
        Command::Lineage(LineageCommand::Diff { config, since, until, format }) => {
            commands::lineage_diff(&load(&config)?, &DiffOptions { since, until, format: format.into() }, out)
        }
        Command::Export(ExportCommand::Datahub { config, out: file, to, token, since, now }) => {
            let now = now.unwrap_or_else(Utc::now);
            commands::export_datahub(&load(&config)?, &ExportOptions { file, to, token, since, now }, out).map(code)
        }
        Command::Schema { of } => commands::schema(&of, out).map(code),
    }
}

fn policy(command: PolicyCommand, out: &mut dyn Write) -> anyhow::Result<u8> {
    match command {
        PolicyCommand::Test { paths, run, coverage, threshold, exit_zero_on_skipped, format } => {
            let format = format.into();
            commands::policy_test(&TestRun { paths, run, coverage, threshold, exit_zero_on_skipped, format }, out)
        }
        PolicyCommand::Eval { of, input, query, fail, format } => {
            commands::policy_eval(&EvalOptions { of, input, query, fail, format: format.into() }, out)
        }
        PolicyCommand::Replay { config, bundle, since, until, format } => {
            commands::policy_replay(&load(&config)?, &ReplayOptions { bundle, since, until, format: format.into() }, out)
        }
    }
}

/// The exit code of a tool that says only whether all is well.
fn code(well: bool) -> u8 {
    u8::from(!well)
}

/// The threads that serve sockets; what is planned, and rows, are computed on others. With more threads than cores the system gives every connection
/// its turn, also while statements whose plans are known are answered without a pause. Each thread more costs turns of its own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(cores * 2).thread_stack_size(STACK_BYTES).build()
}

fn load(path: &std::path::Path) -> anyhow::Result<Config> {
    config::load(path).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration has faults:\n{}", lines.join("\n"))
    })
}

async fn serve(config: Config, options: StartOptions) -> anyhow::Result<bool> {
    let (database, example) = (config.database.clone(), config.example);
    // From here on it ends nothing, whoever sends it.
    let hangup = signal(SignalKind::hangup())?;
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
    wait_for_end(hangup, &running).await?;
    tracing::info!("shutting down: running statements may end");
    for served in running.stop().await? {
        tracing::info!(connections = served.connections, panics = served.panics, drained = served.drained, "stopped");
    }
    Ok(true)
}

/// Waits for the signal that ends the gateway; the one that asks for a reload does not.
async fn wait_for_end(mut hangup: Signal, running: &server::Running) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            Some(()) = hangup.recv() => running.reload(),
        }
    }
}
