//! Sends lineage events to an OpenLineage API (Marquez and its kin) by HTTP.
//!
//! What is tried again is what may succeed then: a server that is not reached, is busy, or fails. An event that the server refuses is gone.

use std::io;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::Reference;
use crate::lineage::Sink;
use crate::source::{FetchError, HttpClient, HttpOptions};

use super::feed::secret;

/// Pauses before the tries that follow the first.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];
/// The longest that one try may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// An OpenLineage API.
pub(super) struct HttpSink {
    client: HttpClient,
    token: Option<Reference>,
}

impl HttpSink {
    /// A sink to that address, which is used whole; nothing is asked yet.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub(super) fn new(url: &str, token: Option<Reference>) -> Result<Self, FetchError> {
        let options = HttpOptions { timeout: TIMEOUT, bytes_max: ANSWER_BYTES_MAX, redirects_max: 0, authorities: None };
        Ok(Self { client: HttpClient::new(url, &options)?, token })
    }

    async fn attempt(&self, event: &str) -> Result<(), FetchError> {
        let (client, token, body) = (self.client.clone(), self.token.clone(), event.as_bytes().to_vec());
        let sent = tokio::task::spawn_blocking(move || {
            let bearer = token.as_ref().map(secret).transpose().map_err(FetchError::Setup)?;
            let headers: Vec<_> = bearer.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))).into_iter().collect();
            client.post_json(&headers, &body)
        });
        sent.await.unwrap_or_else(|_| Err(FetchError::Unreachable("sending panicked".to_owned())))
    }
}

#[async_trait]
impl Sink for HttpSink {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn send(&mut self, event: &str) -> io::Result<()> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.attempt(event).await {
                Ok(()) => return Ok(()),
                Err(error) => match pauses.next().filter(|_| may_pass(&error)) {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(io::Error::other(error)),
                },
            }
        }
    }
}

fn may_pass(error: &FetchError) -> bool {
    match error {
        FetchError::Unreachable(_) => true,
        FetchError::Status(status) => matches!(status, 408 | 429 | 500..=599),
        FetchError::Setup(_) | FetchError::TooLong(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers one request for each status, and gives back the bodies.
    fn server(statuses: &'static [u16]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/v1/lineage", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let answer = |status: &u16| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = text.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                stream.write_all(format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
                String::from_utf8(body).unwrap()
            };
            statuses.iter().map(answer).collect()
        });
        (url, serving)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failing_server_is_asked_again_and_a_refusal_is_not() {
        let (url, serving) = server(&[503, 201, 422]);
        let mut sink = HttpSink::new(&url, None).unwrap();
        sink.send("{\"a\":1}").await.unwrap();
        assert!(sink.send("{\"b\":2}").await.is_err());
        assert_eq!(serving.join().unwrap(), ["{\"a\":1}", "{\"a\":1}", "{\"b\":2}"]);
    }
}
