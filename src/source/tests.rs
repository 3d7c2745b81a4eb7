//! What archives and addresses may give, and what they may not.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An archive of entries as they are given, however wrong.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, bytes) in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written by hand: the library refuses to write what it must be possible to refuse.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

fn files(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<_> = entries.iter().map(|(path, text)| (*path, EntryType::Regular, text.as_bytes())).collect();
    archive(&entries)
}

fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    read_within(bytes, ArchiveLimits::default())
}

fn read_within(bytes: &[u8], limits: ArchiveLimits) -> Result<Vec<(String, String)>, String> {
    let entries = read_tar_gz(bytes, limits, |path| !path.ends_with(".bin")).map_err(|error| error.to_string())?;
    Ok(entries.into_iter().map(|entry| (entry.path, String::from_utf8(entry.bytes).unwrap())).collect())
}

#[test]
fn files_are_read_with_paths_below_the_root() {
    let packed = archive(&[
        ("./", EntryType::Directory, b""),
        ("/.manifest", EntryType::Regular, b"{}"),
        ("./a/data.json", EntryType::Regular, b"{\"x\": 1}"),
        ("a/b.rego", EntryType::Regular, b"package b"),
        ("a/c.bin", EntryType::Regular, b"\xff\xfe"),
    ]);
    let expected = [(".manifest", "{}"), ("a/data.json", "{\"x\": 1}"), ("a/b.rego", "package b")];
    assert_eq!(read(&packed).unwrap(), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let long = format!("{}/x.rego", "deep".repeat(40));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(1);
    header.set_cksum();
    builder.append_data(&mut header, &long, b"x".as_slice()).unwrap();
    assert_eq!(read(&gzip(&builder.into_inner().unwrap())).unwrap()[0].0, long);
}

#[test]
fn an_archive_that_leads_outside_or_lies_is_refused() {
    for (entries, words) in [
        (vec![("../x.rego", EntryType::Regular, b"".as_slice())], "../x.rego: the path leads outside"),
        (vec![("a/../../x.rego", EntryType::Regular, b"")], "leads outside"),
        (vec![("..", EntryType::Directory, b"")], "leads outside"),
        (vec![("a\\..\\x.rego", EntryType::Regular, b"")], "backslash"),
        (vec![("a\nb.rego", EntryType::Regular, b"")], "control character"),
        (vec![("x.rego", EntryType::Symlink, b"")], "x.rego: links are refused"),
        (vec![("x.rego", EntryType::Link, b"")], "links are refused"),
        (vec![("x.bin", EntryType::Symlink, b"")], "links are refused"),
        (vec![("x", EntryType::Fifo, b"")], "only files and folders"),
        (vec![("x", EntryType::Block, b"")], "only files and folders"),
        (vec![("a.rego", EntryType::Regular, b"1"), ("./a.rego", EntryType::Regular, b"2")], "a.rego: the path occurs twice"),
        (vec![("a.bin", EntryType::Regular, b"1"), ("/a.bin", EntryType::Regular, b"2")], "occurs twice"),
    ] {
        let refused = read(&archive(&entries)).unwrap_err();
        assert!(refused.contains(words), "{words}: {refused}");
    }
}

#[test]
fn every_limit_holds_at_it_and_one_past_it() {
    let packed = files(&[("a.rego", "12345"), ("b.bin", "12345")]);
    let limits = |entries_max, file_bytes_max, bytes_max| ArchiveLimits { entries_max, file_bytes_max, bytes_max };
    // Two files of one block each behind a header of one block, and two blocks that end the archive.
    let bytes = 6 * 512;
    assert!(read_within(&packed, limits(2, 5, bytes)).is_ok());
    assert!(read_within(&packed, limits(1, 5, bytes)).unwrap_err().contains("more than 1 entries"));
    assert!(read_within(&packed, limits(2, 4, bytes)).unwrap_err().contains("the file is too long"));
    assert!(read_within(&packed, limits(2, 5, bytes - 1)).unwrap_err().contains("more than 3071 bytes"));
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let zeros = vec![0_u8; 4 << 20];
    let bomb = archive(&[("zeros.bin", EntryType::Regular, &zeros)]);
    assert!(bomb.len() < 64 << 10);
    let limits = ArchiveLimits { bytes_max: 1 << 20, ..ArchiveLimits::default() };
    assert!(read_within(&bomb, limits).unwrap_err().contains("more than 1048576 bytes"));
    // What follows the end of the archive counts as well.
    let mut padded = Builder::new(Vec::new()).into_inner().unwrap();
    padded.extend_from_slice(&zeros);
    assert!(read_within(&gzip(&padded), limits).unwrap_err().contains("more than 1048576 bytes"));
}

#[test]
fn what_is_damaged_or_cut_off_is_refused() {
    let packed = files(&[("a.rego", "package a"), ("b.rego", "package b")]);
    assert!(read(b"not gzip").is_err() && read(b"").is_err());
    assert!(read(&gzip(b"not tar, but long enough to look like something".repeat(20).as_slice())).is_err());
    for cut in [1, 4, 8, packed.len() / 2] {
        assert!(read(&packed[..packed.len() - cut]).is_err(), "{cut}");
    }
    let mut flipped = packed.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    assert!(read(&flipped).is_err());
    let mut trailing = packed;
    trailing.extend_from_slice(b"trailing");
    assert!(read(&trailing).is_err());
}

/// A server that answers each request with what the closure makes of its head.
struct Server {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
                seen.lock().unwrap().push(head.to_lowercase());
                // A client that has seen enough closes first.
                let _ = stream.write_all(&answer(&head));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn client(url: &str, redirects_max: u32) -> HttpClient {
    let options = HttpOptions { timeout: Duration::from_millis(700), bytes_max: 8, redirects_max, authorities: None };
    HttpClient::new(url, &options).unwrap()
}

#[test]
fn a_document_is_fetched_once_for_each_tag() {
    let server = Server::new(|head| match head.to_lowercase().contains("if-none-match: \"v1\"") {
        true => response("304 Not Modified", "", b""),
        false => response("200 OK", "ETag: \"v1\"\r\n", b"content"),
    });
    let client = client(&server.address, 0);
    let document = Fetched::Document { bytes: b"content".to_vec(), tag: Some("\"v1\"".to_owned()) };
    let bearer = [("authorization".to_owned(), "Bearer secret".to_owned())];
    assert_eq!(client.get(&bearer, None), Ok(document.clone()));
    assert_eq!(client.get(&bearer, Some("\"v1\"")), Ok(Fetched::Unchanged));
    assert_eq!(client.get(&bearer, Some("\"v0\"")), Ok(document));
    assert!(server.heads().iter().all(|head| head.contains("authorization: bearer secret")));
}

#[test]
fn an_answer_is_bounded_in_bytes_and_time() {
    let server = Server::new(|head| {
        let body: &[u8] = if head.contains("/at") { b"12345678" } else { b"123456789" };
        response("200 OK", "", body)
    });
    assert!(client(&format!("{}/at", server.address), 0).get(&[], None).is_ok());
    assert_eq!(client(&format!("{}/past", server.address), 0).get(&[], None), Err(FetchError::TooLong(8)));
    let endless = Server::new(|_| b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n9\r\n123456789\r\n".to_vec());
    assert_eq!(client(&endless.address, 0).get(&[], None), Err(FetchError::TooLong(8)));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let late = client(&format!("http://{}", silent.local_addr().unwrap()), 0).get(&[], None);
    assert!(matches!(late, Err(FetchError::Unreachable(_))), "{late:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    let cut = Server::new(|_| b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 8\r\n\r\n123".to_vec());
    assert!(client(&cut.address, 0).get(&[], None).is_err());
}

#[test]
fn another_status_is_no_document() {
    for status in ["304 Not Modified", "204 No Content", "206 Partial Content", "404 Not Found", "503 Busy", "302 Found"] {
        let owned = status.to_owned();
        let server = Server::new(move |_| response(&owned, "", b""));
        let code: u16 = status[..3].parse().unwrap();
        assert_eq!(client(&server.address, 0).get(&[], None), Err(FetchError::Status(code)), "{status}");
    }
}

#[test]
fn redirects_are_followed_as_far_as_allowed_and_take_no_credential_along() {
    let target = Server::new(|_| response("200 OK", "", b"there"));
    let to = target.address.replace("127.0.0.1", "localhost");
    let server = Server::new(move |_| response("302 Found", &format!("location: {to}/x\r\n"), b""));
    let bearer = [("authorization".to_owned(), "Bearer secret".to_owned())];
    assert!(client(&server.address, 0).get(&bearer, None).is_err());
    assert!(target.heads().is_empty());
    assert_eq!(client(&server.address, 1).get(&bearer, None), Ok(Fetched::Document { bytes: b"there".to_vec(), tag: None }));
    assert!(!target.heads()[0].contains("secret"), "{:?}", target.heads());
}

#[test]
fn no_error_quotes_the_query_of_an_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/b?signature=secret", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url, 0).get(&[], None).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    let error = client("http://[bad?signature=secret", 0).get(&[], None).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(shown_url(&url), url.split('?').next().unwrap());
}

#[test]
fn https_is_checked_against_the_authorities_that_are_given() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = tls_server(&certified);
    let ask = |pem: String| {
        let authorities = Some(pem.into_bytes());
        let options = HttpOptions { timeout: Duration::from_secs(5), bytes_max: 8, redirects_max: 1, authorities };
        HttpClient::new(&server, &options).unwrap().get(&[], None)
    };
    assert_eq!(ask(certified.cert.pem()), Ok(Fetched::Document { bytes: b"secure".to_vec(), tag: None }));
    assert!(matches!(ask(other.cert.pem()), Err(FetchError::Unreachable(_))));
    let options = HttpOptions { timeout: Duration::from_secs(5), bytes_max: 8, redirects_max: 1, authorities: Some(b"none".to_vec()) };
    assert!(matches!(HttpClient::new(&server, &options), Err(FetchError::Setup(_))));
}

/// A server with that certificate; `/down` leads to one without.
fn tls_server(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> String {
    let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let mut head = [0_u8; 1024];
            let Ok(read) = std::io::Read::read(&mut stream, &mut head) else { continue };
            let down = String::from_utf8_lossy(&head[..read]).contains("/down");
            let answer = match down {
                true => response("302 Found", "location: http://127.0.0.1:9/x\r\n", b""),
                false => response("200 OK", "", b"secure"),
            };
            let _ = stream.write_all(&answer);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

#[test]
fn a_redirect_never_leaves_encryption() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let url = format!("{}/down", tls_server(&certified));
    let authorities = Some(certified.cert.pem().into_bytes());
    let options = HttpOptions { timeout: Duration::from_secs(5), bytes_max: 8, redirects_max: 3, authorities };
    let error = HttpClient::new(&url, &options).unwrap().get(&[], None).unwrap_err();
    assert!(error.to_string().contains("not encrypted"), "{error}");
}
