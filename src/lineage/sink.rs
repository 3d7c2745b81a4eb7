//! Where events go. A further sink is a further type in this file's place, and a line where the gateway makes its list.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

/// Takes events, one JSON document at a time.
#[async_trait]
pub trait Sink: Send {
    /// What the log calls it.
    fn name(&self) -> &'static str;

    /// Sends one event; `event` is JSON on one line, without a line feed.
    async fn send(&mut self, event: &str) -> io::Result<()>;

    /// Sends several. Returns how many of them were refused, and why the last of these was.
    async fn send_all(&mut self, events: &[String]) -> (u64, Option<io::Error>) {
        let mut refused = (0, None);
        for event in events {
            if let Err(error) = self.send(event).await {
                refused = (refused.0 + 1, Some(error));
            }
        }
        refused
    }
}

/// Appends events to a file, one a line.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    file: Option<File>,
}

impl FileSink {
    /// A sink to that file, which is opened with the first event.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), file: None }
    }
}

#[async_trait]
impl Sink for FileSink {
    fn name(&self) -> &'static str {
        "file"
    }

    async fn send(&mut self, event: &str) -> io::Result<()> {
        self.append(format!("{event}\n").as_bytes()).await
    }

    async fn send_all(&mut self, events: &[String]) -> (u64, Option<io::Error>) {
        let mut lines = events.join("\n");
        lines.push('\n');
        match self.append(lines.as_bytes()).await {
            Ok(()) => (0, None),
            Err(error) => (u64::try_from(events.len()).unwrap_or(u64::MAX), Some(error)),
        }
    }
}

impl FileSink {
    async fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).open(&self.path).await?,
        };
        file.write_all(lines).await?;
        file.flush().await?;
        // After a failure the file is opened anew with the next event.
        self.file = Some(file);
        Ok(())
    }
}

/// Writes events to the standard output, one a line.
#[derive(Debug, Default)]
pub struct ConsoleSink;

#[async_trait]
impl Sink for ConsoleSink {
    fn name(&self) -> &'static str {
        "console"
    }

    async fn send(&mut self, event: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{event}")
    }
}
