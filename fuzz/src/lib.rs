//! A gateway in this process that fuzz targets talk to over streams in memory.

mod driver;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meshgate::server::{Running, StartOptions, quickstart};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use tokio::runtime::Runtime;

const ISSUER: &str = "https://login.example.com";

/// What is built once.
struct Scene {
    runtime: Runtime,
    gateway: Running,
    token: String,
    _folder: tempfile::TempDir,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| build().unwrap_or_else(|error| panic!("{error}")))
}

fn build() -> Result<Scene, Box<dyn std::error::Error>> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir()?;
    let path = |below: &str| folder.path().join(below);
    for name in ["catalogs", "policies"] {
        copy(&repository.join(name), &path(name))?;
    }
    std::fs::copy(repository.join("examples/quickstart/principals.yaml"), path("principals.yaml"))?;
    std::fs::create_dir(path("data"))?;
    quickstart::generate(&path("data"), chrono::Utc::now())?;
    let (keys, token) = issue()?;
    std::fs::write(path("jwks.json"), keys)?;
    let config = format!(
        "listen: 127.0.0.1:0\ncatalogs: catalogs\npolicies: policies\nprincipals: principals.yaml\nerasures: data/erased_subjects.csv\ndata: data\n\
         audit: {{folder: audit}}\nlimits: {{statement_timeout_ms: 5000, memory_bytes: 67108864, rows_max: 5000}}\n\
         tokens:\n  plain_on_loopback: true\n  issuers:\n    - {{issuer: \"{ISSUER}\", audience: meshgate, keys: jwks.json, claims: {{roles: roles}}}}\n"
    );
    std::fs::write(path("meshgate.yaml"), config)?;
    let config = meshgate::config::load(path("meshgate.yaml")).map_err(|faults| format!("{faults:?}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let gateway = runtime.block_on(meshgate::server::start(config, StartOptions::default()))?;
    Ok(Scene { runtime, gateway, token, _folder: folder })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A set of keys, and a token of the login `ann` that outlasts every run.
fn issue() -> Result<(String, String), Box<dyn std::error::Error>> {
    let random = SystemRandom::new();
    let unusable = |_| "no key can be made";
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(unusable)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).map_err(|error| error.to_string())?;
    let (x, y) = pair.public_key().as_ref().split_at(1).1.split_at(32);
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let keys = serde_json::json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": text(x), "y": text(y)}]});
    let claims = serde_json::json!({"iss": ISSUER, "aud": "meshgate", "sub": "ann", "exp": 4_000_000_000_u64, "roles": ["pii_authorized"]});
    let header = serde_json::json!({"alg": "ES256", "kid": "a"});
    let signed = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
    let signature = pair.sign(&random, signed.as_bytes()).map_err(unusable)?;
    Ok((keys.to_string(), format!("{signed}.{}", text(signature.as_ref()))))
}

fn play(bytes: &[u8]) {
    let scene = scene();
    let serve = async |stream, address| scene.gateway.serve_stream(stream, address).await;
    let answer = scene.runtime.block_on(driver::play(serve, bytes));
    if let Some(fault) = driver::fault(&answer) {
        panic!("{fault}");
    }
}

/// Bytes of a client that has not proved itself.
pub fn stranger(bytes: &[u8]) {
    play(&driver::stranger(bytes));
}

/// Messages of a client that has.
pub fn session(bytes: &[u8]) {
    play(&driver::session(&scene().token, bytes));
}

/// A text that is prepared and described, and not run.
pub fn statement(text: &[u8]) {
    play(&driver::statement(&scene().token, text));
}
