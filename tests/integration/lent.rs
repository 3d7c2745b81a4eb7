//! Objects that are read as the gateway itself, by the real binary: with keys that its container or its workload is given, and by nobody else.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;

use crate::gateway::{World, login};
use crate::process::Process;

/// What the container's agent and the token service ask for.
const POD_TOKEN: &str = "pod-token";
const WORKLOAD_TOKEN: &str = "workload-token";

/// A cloud over TLS: objects for those who prove who they are, and two services that give keys to who may have them.
struct Cloud {
    port: u16,
    certificate: String,
    /// The first lines of what was asked.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Cloud {
    fn open() -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|read| read > 0) {}
                heard.lock().unwrap().extend(head.lines().next().map(str::to_owned));
                // A client may be gone.
                let _ = stream.get_mut().write_all(&answer(&head));
                stream.get_mut().conn.send_close_notify();
                let _ = stream.get_mut().flush();
            }
        });
        Self { port, certificate: certified.cert.pem(), asked }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    fn asked(&self, part: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|line| line.contains(part))
    }
}

fn answer(head: &str) -> Vec<u8> {
    let target = head.split(' ').nth(1).unwrap_or_default();
    let has = |header: &str| head.lines().any(|line| line.to_ascii_lowercase().starts_with(&header.to_ascii_lowercase()));
    let signed = |key: &str, session: &str| {
        has(&format!("authorization: AWS4-HMAC-SHA256 Credential={key}/")) && has(&format!("x-amz-security-token: {session}"))
    };
    let until = "2099-01-01T00:00:00Z";
    let (status, more, body) = if target == "/pod/keys" && has(&format!("authorization: {POD_TOKEN}")) {
        let keys = format!(r#"{{"AccessKeyId":"PODKEY","SecretAccessKey":"s","Token":"pod-session","Expiration":"{until}"}}"#);
        ("200 OK", "Content-Type: application/json\r\n", keys)
    } else if target.contains("Action=AssumeRoleWithWebIdentity")
        && target.contains(WORKLOAD_TOKEN)
        && target.contains("RoleSessionName=mesh")
    {
        let keys = format!(
            "<SessionToken>role-session</SessionToken><SecretAccessKey>s</SecretAccessKey><AccessKeyId>ROLEKEY</AccessKeyId><Expiration>{until}</Expiration>"
        );
        let result = format!("<AssumeRoleWithWebIdentityResult><Credentials>{keys}</Credentials></AssumeRoleWithWebIdentityResult>");
        ("200 OK", "", format!("<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>"))
    } else if target == "/mesh/notes.csv" && (signed("PODKEY", "pod-session") || signed("ROLEKEY", "role-session")) {
        ("200 OK", "ETag: \"v1\"\r\nLast-Modified: Sat, 21 Nov 2026 09:00:00 GMT\r\n", "id\n1\n2\n".to_owned())
    } else {
        ("403 Forbidden", "", String::new())
    };
    let length = body.len();
    let ranged = head.lines().any(|line| line.to_ascii_lowercase().starts_with("range:")) && status.starts_with("200");
    let (status, range) = match ranged {
        true => ("206 Partial Content", format!("Content-Range: bytes 0-{}/{length}\r\n", length - 1)),
        false => (status, String::new()),
    };
    let body = if head.starts_with("HEAD") { String::new() } else { body };
    format!("HTTP/1.1 {status}\r\n{more}{range}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

fn world(cloud: &Cloud) -> World {
    let world = World::with_notes("s3://mesh/notes.csv");
    world.write("cloud.pem", &cloud.certificate);
    world.write("pod.token", POD_TOKEN);
    world.write("workload.token", WORKLOAD_TOKEN);
    world
}

/// What a gateway with this identity and environment counts, or why it does not.
async fn counted(cloud: &Cloud, identity: &str, environment: impl Fn(&World) -> Vec<(&'static str, String)>) -> Result<i64, String> {
    let world = world(cloud);
    let store =
        format!("stores:\n  - {{location: s3://mesh, endpoint: \"{}\", identity: {identity}, authorities: cloud.pem}}\n", cloud.url());
    let process = Process::serve_with(&world, &store, &environment(&world));
    let client = login(process.address(), "analyst").await.unwrap();
    let answer = client.query_one("SELECT count(*) FROM demo.notes", &[]).await;
    answer.map(|row| row.get(0)).map_err(|error| error.as_db_error().map(|error| error.code().code().to_owned()).unwrap_or_default())
}

fn file(world: &World, name: &str) -> String {
    world.path(name).display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_with_the_keys_of_the_container_or_of_the_workload() {
    let cloud = Cloud::open();
    let pod = |token: &'static str| {
        let keys = format!("{}/pod/keys", cloud.url());
        move |world: &World| {
            vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", keys.clone()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file(world, token))]
        }
    };
    let workload = |token: &'static str| {
        let service = cloud.url();
        move |world: &World| {
            vec![
                ("AWS_WEB_IDENTITY_TOKEN_FILE", file(world, token)),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/mesh".to_owned()),
                ("AWS_ENDPOINT_URL_STS", service.clone()),
                ("AWS_ROLE_SESSION_NAME", "mesh".to_owned()),
            ]
        }
    };
    assert_eq!(counted(&cloud, "instance", pod("pod.token")).await, Ok(2));
    assert!(cloud.asked("/pod/keys") && !cloud.asked("AssumeRole"));
    assert_eq!(counted(&cloud, "web-identity", workload("workload.token")).await, Ok(2));
    assert!(cloud.asked("AssumeRoleWithWebIdentity"));
    // The same environment lends nothing to a store that is asked by nobody, and another's token opens nothing.
    let refused = Err("HV00N".to_owned());
    assert_eq!(counted(&cloud, "nobody", pod("pod.token")).await, refused);
    assert_eq!(counted(&cloud, "instance", pod("workload.token")).await, refused);
    assert_eq!(counted(&cloud, "web-identity", workload("pod.token")).await, refused);
    assert_eq!(counted(&cloud, "web-identity", |_: &World| Vec::new()).await, refused);
}
