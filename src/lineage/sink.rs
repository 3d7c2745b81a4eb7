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
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).open(&self.path).await?,
        };
        file.write_all(format!("{event}\n").as_bytes()).await?;
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
