//! A web server of the tests: one document with a tag, that can change, be damaged, be guarded by a token, or go away.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// What it answers.
#[derive(Clone, Default)]
struct Shown {
    document: Vec<u8>,
    version: u64,
    token: Option<String>,
    down: bool,
}

/// One document at one address.
pub(crate) struct Web {
    address: SocketAddr,
    shown: Arc<Mutex<Shown>>,
    /// What was asked, in lower case.
    heads: Arc<Mutex<Vec<String>>>,
    /// Answers by status.
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Web {
    /// Serves that document.
    pub(crate) fn serve(document: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::new(Mutex::new(Shown { document, ..Shown::default() }));
        let answers: Arc<Mutex<Vec<u16>>> = Arc::default();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (state, statuses, asked) = (Arc::clone(&shown), Arc::clone(&answers), Arc::clone(&heads));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
                let shown = state.lock().unwrap().clone();
                let head = head.to_lowercase();
                let (status, answer) = answer(&shown, &head);
                asked.lock().unwrap().push(head);
                statuses.lock().unwrap().push(status);
                // A client may be gone.
                let _ = stream.write_all(&answer);
            }
        });
        Self { address, shown, heads, answers }
    }

    /// Where the document is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/document", self.address)
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first lines and headers of what was asked, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Another document from now on.
    pub(crate) fn show(&self, document: Vec<u8>) {
        let mut shown = self.shown.lock().unwrap();
        shown.document = document;
        shown.version += 1;
    }

    /// From now on only for those with that token.
    pub(crate) fn guard(&self, token: &str) {
        self.shown.lock().unwrap().token = Some(token.to_owned());
    }

    /// Answers nothing but errors, or answers again.
    pub(crate) fn set_down(&self, down: bool) {
        self.shown.lock().unwrap().down = down;
    }

    /// How often it has answered with that status.
    pub(crate) fn answered(&self, status: u16) -> usize {
        self.answers.lock().unwrap().iter().filter(|answer| **answer == status).count()
    }
}

fn answer(shown: &Shown, head: &str) -> (u16, Vec<u8>) {
    let tag = format!("\"v{}\"", shown.version);
    let authorized = shown.token.as_ref().is_none_or(|token| head.contains(&format!("authorization: bearer {token}\r\n")));
    let (status, body): (u16, &[u8]) = match (shown.down, authorized, head.contains(&format!("if-none-match: {tag}\r\n"))) {
        (true, _, _) => (503, b""),
        (false, false, _) => (401, b""),
        (false, true, true) => (304, b""),
        (false, true, false) => (200, &shown.document),
    };
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\netag: {tag}\r\ncontent-length: {}\r\n\r\n", body.len());
    (status, [head.as_bytes(), body].concat())
}
