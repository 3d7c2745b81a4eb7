//! The real binary in a process of its own, which can be sent signals.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use crate::eventually::eventually;
use crate::gateway::World;

const BINARY: &str = env!("CARGO_BIN_EXE_meshgate");

/// A gateway that serves; it is killed with this value.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    /// Held, so that the process can always write.
    _output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts one over a world; it is ready when this returns. Its log is the world's file `log`.
    pub(crate) fn serve(world: &World) -> Self {
        Self::serve_with(world, "", &[])
    }

    /// The same with further keys in its configuration, and in an environment with these variables.
    pub(crate) fn serve_with(world: &World, more: &str, environment: &[(&str, String)]) -> Self {
        let log = std::fs::File::create(world.path("log")).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--log-json").arg(world.configure_with(more)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("meshgate listens on ").and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{line:?}\n{}", std::fs::read_to_string(world.path("log")).unwrap()));
        Self { child, address, _output: output }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end, as an operator or an orchestrator does.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Tells it that the terminal is gone, or that it is to reload.
    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it where it stands (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How it ended.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        eventually("the process ends", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs one of the binary's other commands to its end.
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What a command printed, both streams.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
