//! A server of files for tests: HTTP with ranges and tags, and the listing of S3. It can be told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How the next answers go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Mood {
    Well,
    /// Half of a body arrives.
    Cut,
    /// Nothing arrives.
    Down,
    /// It sends elsewhere.
    Elsewhere,
    /// It knows nobody.
    Refusing,
    /// It takes no notice of conditions.
    Careless,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<String, (Bytes, u64)>,
    mood: Mood,
    requests: Vec<String>,
    versions: u64,
}

/// The server; it ends with the test's runtime.
#[derive(Debug, Clone)]
pub(in super::super) struct Web {
    pub(in super::super) address: String,
    state: Arc<Mutex<State>>,
}

impl Web {
    pub(in super::super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = State { files: BTreeMap::new(), mood: Mood::Well, requests: Vec::new(), versions: 0 };
        let web = Self { address, state: Arc::new(Mutex::new(state)) };
        let server = web.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        web
    }

    /// Puts a file; one that is there changes.
    pub(in super::super) fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        let mut state = self.state.lock().unwrap();
        state.versions += 1;
        let version = state.versions;
        state.files.insert(path.to_owned(), (bytes.into(), version));
    }

    pub(in super::super) fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path);
    }

    pub(in super::super) fn feel(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// The first lines and headers of all requests so far.
    pub(in super::super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut pending = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = pending.windows(4).position(|four| four == b"\r\n\r\n") {
                    break end + 4;
                }
                let mut buffer = [0; 4096];
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => pending.extend_from_slice(&buffer[..read]),
                }
            };
            let request = String::from_utf8_lossy(&pending[..end]).into_owned();
            pending.drain(..end);
            let (answer, goes_on) = self.answer(&request);
            if stream.write_all(&answer).await.is_err() || !goes_on {
                return;
            }
        }
    }

    fn answer(&self, request: &str) -> (Vec<u8>, bool) {
        let mut state = self.state.lock().unwrap();
        state.requests.push(request.to_owned());
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.replace("%3D", "=").replace("%20", " ").replace("%2F", "/").replace("%2E", ".");
        let header = |name: &str| {
            let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        match state.mood {
            Mood::Down => return (Vec::new(), false),
            Mood::Refusing => return (reply("403 Forbidden", "", b"no"), true),
            Mood::Elsewhere => return (reply("302 Found", "Location: http://127.0.0.2:9/secret\r\n", b""), true),
            Mood::Well | Mood::Cut | Mood::Careless => {}
        }
        if query.contains("list-type=2") {
            return (reply("200 OK", "Content-Type: application/xml\r\n", listing(&state.files, &path, query).as_bytes()), true);
        }
        let Some((bytes, version)) = state.files.get(&path) else { return (reply("404 Not Found", "", b""), true) };
        let tag = format!("\"v{version}\"");
        if state.mood != Mood::Careless && header("if-match").is_some_and(|wanted| wanted != tag) {
            return (reply("412 Precondition Failed", "", b""), true);
        }
        let mut headers = format!("ETag: {tag}\r\nLast-Modified: Sat, 21 Nov 2026 09:00:00 GMT\r\n");
        if request.starts_with("HEAD") {
            headers.push_str(&format!("Content-Length: {}\r\n", bytes.len()));
            return (format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes(), true);
        }
        let (status, body) = match header("range").and_then(|range| range_of(&range, bytes.len())) {
            Some(range) => {
                headers.push_str(&format!("Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, bytes.len()));
                ("206 Partial Content", bytes.slice(range))
            }
            None => ("200 OK", bytes.clone()),
        };
        let mut whole = reply(status, &headers, &body);
        let cut = state.mood == Mood::Cut && !body.is_empty();
        if cut {
            whole.truncate(whole.len() - body.len().div_ceil(2));
        }
        (whole, !cut)
    }
}

fn reply(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn range_of(text: &str, length: usize) -> Option<std::ops::Range<usize>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (start.parse::<usize>().ok(), end.parse::<usize>().ok()) {
        (Some(start), Some(end)) if start < length => Some(start..(end + 1).min(length)),
        (Some(start), None) if start < length => Some(start..length),
        (None, Some(last)) => Some(length.saturating_sub(last)..length),
        _ => None,
    }
}

fn listing(files: &BTreeMap<String, (Bytes, u64)>, bucket: &str, query: &str) -> String {
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default().replace("%2F", "/").replace("%3D", "=");
    let below = format!("{}/", bucket.trim_end_matches('/'));
    let found = files.iter().filter_map(|(path, (bytes, version))| {
        let key = path.strip_prefix(&below).filter(|key| key.starts_with(&prefix))?;
        Some(format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-21T09:00:00.000Z</LastModified><ETag>&quot;v{version}&quot;</ETag><Size>{}</Size></Contents>",
            bytes.len()
        ))
    });
    format!("<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>", found.collect::<String>())
}
