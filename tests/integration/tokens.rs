//! Tokens of an OpenID provider: who may come in with which one, as whom, and for how long.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::gateway::{Gateway, World, configuration, connect};
use crate::records::records;
use crate::web::Web;

const FULL_NAME: &str = "SELECT full_name FROM customer.customer_360 LIMIT 1";

/// A key of the issuer's.
pub(crate) struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    /// A new one of that name.
    pub(crate) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self { id, pair: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap() }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }

    /// A token with those claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let signed = unsigned(&json!({"alg": "ES256", "kid": self.id, "typ": "at+jwt"}), claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn rsa() -> RsaKeyPair {
    let pem: String = include_str!("../keys/issuer-for-tests-only.pem").lines().filter(|line| !line.starts_with('-')).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap()
}

/// A set of keys.
pub(crate) fn jwks(keys: &[&Key]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}

/// What an issuer at that address says of somebody, changed as given; `null` takes a claim away.
pub(crate) fn claims(issuer: &str, user: &str, changes: Value) -> Value {
    let now = Utc::now().timestamp();
    let mut all = json!({
        "iss": issuer, "aud": ["meshgate"], "sub": "5f1a", "exp": now + 600, "iat": now, "nbf": now,
        "preferred_username": user, "realm_access": {"roles": ["pii_authorized"]}
    });
    for (name, value) in changes.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    all
}

/// The configuration for an issuer.
pub(crate) fn configured(issuer: &str, more: &str) -> String {
    format!(
        "tokens:\n  plain_on_loopback: true\n  issuers:\n    - issuer: \"{issuer}\"\n      audience: meshgate\n      claims: {{user: preferred_username, roles: /realm_access/roles}}\n{more}"
    )
}

/// An issuer that serves its keys, and a gateway that takes its tokens.
struct Scene {
    world: World,
    gateway: Gateway,
    issuer: String,
    key: Key,
    web: Web,
}

impl Scene {
    async fn new(more: &str) -> Self {
        let world = World::quickstart();
        let (key, web) = (Key::new("a"), Web::serve(Vec::new()));
        let issuer = web.endpoint();
        let scene_document = document(&issuer, &[&key]);
        web.show(scene_document);
        let gateway = world.serve_with(&configured(&issuer, more)).await;
        Self { world, gateway, issuer, key, web }
    }

    fn token(&self, user: &str, changes: Value) -> String {
        self.key.sign(&claims(&self.issuer, user, changes))
    }

    /// The SQLSTATE of trying to read personal data as that login with that password: `None` if it may.
    async fn tries(&self, user: &str, password: &str) -> Option<String> {
        let code = |error: tokio_postgres::Error| error.code().map_or("none", |code| code.code()).to_owned();
        let (client, _) = match connect(&configuration(self.gateway.address(), user, password)).await {
            Ok(connected) => connected,
            Err(error) => {
                let told = error.as_db_error().unwrap_or_else(|| panic!("{error}"));
                assert_eq!(told.message(), format!("password authentication failed for user \"{user}\""));
                assert_eq!((told.detail(), told.hint()), (None, None));
                return Some(code(error));
            }
        };
        client.simple_query(FULL_NAME).await.err().map(code)
    }

    /// Why the last login was refused.
    async fn reason(&self) -> String {
        let reason = eventually("the refusal is recorded", async || {
            let record = records(&self.world).into_iter().rev().find(|record| record["kind"] == "login_failed")?;
            record["reason"].as_str().map(str::to_owned)
        });
        reason.await
    }
}

/// One document that is both: the issuer's description of itself and its keys.
fn document(issuer: &str, keys: &[&Key]) -> Vec<u8> {
    let mut document = jwks(keys);
    document["issuer"] = json!(issuer);
    document["jwks_uri"] = json!(format!("{issuer}/keys"));
    document.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_logs_in_with_the_rights_of_its_claims_beside_logins_with_passwords() {
    let scene = Scene::new("").await;
    assert_eq!(scene.tries("ann", &scene.token("ann", json!({}))).await, None);
    // The same person on the same rows without the role.
    assert_eq!(scene.tries("ann", &scene.token("ann", json!({"realm_access": {"roles": []}}))).await.as_deref(), Some("42501"));
    assert_eq!(scene.tries("ann", &scene.token("ann", json!({"realm_access": null}))).await.as_deref(), Some("42501"));
    assert_eq!(scene.tries("pii_analyst", "pii_analyst").await, None);
    assert_eq!(scene.tries("analyst", "analyst").await.as_deref(), Some("42501"));
    let opened: Vec<Value> = records(&scene.world).into_iter().filter(|record| record["kind"] == "connection_opened").collect();
    assert!(
        opened.iter().any(|record| record["proof"] == "token" && record["issuer"] == json!(scene.issuer) && record["principal"] == "ann")
    );
    assert!(opened.iter().any(|record| record["proof"] == "password" && record["issuer"].is_null()));
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_that_is_not_good_is_refused_alike_and_the_log_says_why() {
    let scene = Scene::new("      algorithms: [ES256, RS256]\n").await;
    let good = scene.token("ann", json!({}));
    let now = Utc::now().timestamp();
    let parts: Vec<&str> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(claims(&scene.issuer, "ann", json!({"realm_access": {"roles": ["restricted"]}})).to_string());
    let none = unsigned(&json!({"alg": "none"}), &claims(&scene.issuer, "ann", json!({})));
    let rsa = rsa();
    let modulus = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public()).n;
    let signed = unsigned(&json!({"alg": "HS256", "kid": "a"}), &claims(&scene.issuer, "ann", json!({})));
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &modulus);
    let hmac = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, signed.as_bytes())));
    let signed = unsigned(&json!({"alg": "RS256", "kid": "a"}), &claims(&scene.issuer, "ann", json!({})));
    let mut signature = vec![0; rsa.public().modulus_len()];
    rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    let another_kind = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let stranger = Key::new("a").sign(&claims(&scene.issuer, "ann", json!({})));
    let unknown = Key::new("b").sign(&claims(&scene.issuer, "ann", json!({})));
    for (token, reason) in [
        (scene.token("ann", json!({"exp": now - 31})), "the token has expired"),
        (scene.token("ann", json!({"nbf": now + 600})), "the token is not valid yet"),
        (scene.token("ann", json!({"aud": "other"})), "the token is for another audience"),
        (scene.token("ann", json!({"iss": "https://login.example.com"})), "the token is of another issuer"),
        (scene.token("ann", json!({"exp": null})), "the claim \"exp\" is missing"),
        (scene.token("bob", json!({})), "the token is somebody else's"),
        (format!("{}.{other}.{}", parts[0], parts[2]), "the token's signature is wrong"),
        (format!("{none}."), "the token is signed by an algorithm that is not allowed"),
        (none, "the token is malformed: it has not three parts"),
        (hmac, "the token is signed by an algorithm that is not allowed"),
        (another_kind, "the token names no key that the issuer has for its algorithm"),
        (stranger, "the token's signature is wrong"),
        (unknown, "the token names no key that the issuer has for its algorithm"),
        ("ann".to_owned(), "the token is malformed: it has not three parts"),
    ] {
        let before = records(&scene.world).iter().filter(|record| record["kind"] == "login_failed").count();
        assert_eq!(scene.tries("ann", &token).await.as_deref(), Some("28P01"), "{reason}");
        eventually("one more", async || {
            (records(&scene.world).iter().filter(|record| record["kind"] == "login_failed").count() > before).then_some(())
        })
        .await;
        assert_eq!(scene.reason().await, reason);
    }
    assert_eq!(scene.tries("ann", &good).await, None);
    let log = std::fs::read_dir(scene.world.path("audit")).unwrap().flatten();
    for file in log.filter(|entry| entry.path().is_file()) {
        assert!(!std::fs::read_to_string(file.path()).unwrap().contains(parts[2]), "a token is in the audit log");
    }
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_the_principals_file_is_proved_by_tokens_only_if_the_file_says_so() {
    let scene = Scene::new("").await;
    // The issuer would make anybody the steward.
    let token = scene.token("steward", json!({}));
    let mut config = configuration(scene.gateway.address(), "steward", &token);
    let refused = connect(config.options("-c meshgate.login=password")).await.err().unwrap();
    assert_eq!(refused.code().map(|code| code.code()), Some("28P01"));
    assert_eq!(scene.reason().await, "the login of that name is not proved by tokens of this issuer");
    let listed = format!(
        "  - name: loader\n    issuer: \"{}\"\n    roles: []\n  - name: other\n    issuer: \"https://other.example\"\n",
        scene.issuer
    );
    let all = std::fs::read_to_string(scene.world.path("principals.yaml")).unwrap();
    scene.world.replace("principals.yaml", &format!("{}\n{listed}", all.trim_end()));
    // What the file says of the login holds, not what the token claims.
    let token = scene.token("loader", json!({}));
    eventually("the file is read", async || (scene.tries("loader", &token).await.as_deref() == Some("42501")).then_some(())).await;
    assert_eq!(scene.tries("other", &scene.token("other", json!({}))).await.as_deref(), Some("28P01"));
    // A login that goes from the file is gone, and does not come back by its claims in the session that is open.
    let (client, _) = connect(&configuration(scene.gateway.address(), "loader", &token)).await.unwrap();
    scene.world.replace("principals.yaml", &all);
    let gone = eventually("the file is read", async || client.simple_query("SELECT 1").await.err()).await;
    assert_eq!(gone.code().map(|code| code.code()), Some("28000"));
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_into_the_file_is_no_longer_the_tokens() {
    let scene = Scene::new("").await;
    let (client, _) = connect(&configuration(scene.gateway.address(), "ann", &scene.token("ann", json!({})))).await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();
    let all = std::fs::read_to_string(scene.world.path("principals.yaml")).unwrap();
    scene.world.replace("principals.yaml", &format!("{}\n  - name: ann\n", all.trim_end()));
    let gone = eventually("the file is read", async || client.simple_query("SELECT 1").await.err()).await;
    assert_eq!(gone.code().map(|code| code.code()), Some("28000"));
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_are_fetched_once_and_the_last_good_ones_stay() {
    let scene = Scene::new("").await;
    assert_eq!(scene.tries("ann", &scene.token("ann", json!({}))).await, None);
    let (second, third) = (Key::new("b"), Key::new("c"));
    let by = |key: &Key| key.sign(&claims(&scene.issuer, "ann", json!({})));
    // A key that is not known is asked for at once.
    scene.web.show(document(&scene.issuer, &[&scene.key, &second]));
    assert_eq!(scene.tries("ann", &by(&second)).await, None);
    let asked = scene.web.answered(200);
    // But not again and again, whoever makes up names of keys.
    scene.web.show(document(&scene.issuer, &[&third]));
    for _ in 0..5 {
        assert_eq!(scene.tries("ann", &by(&third)).await.as_deref(), Some("28P01"));
    }
    assert_eq!(scene.web.answered(200), asked);
    scene.web.set_down(true);
    assert_eq!(scene.tries("ann", &by(&second)).await, None);
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_away_at_the_start_keeps_nobody_else_out() {
    let world = World::quickstart();
    let (key, web) = (Key::new("a"), Web::serve(Vec::new()));
    web.set_down(true);
    let issuer = web.endpoint();
    let gateway = world.serve_with(&configured(&issuer, "      refresh_ms: 1000\n")).await;
    gateway.login("analyst").await;
    let scene = Scene { world, gateway, issuer, key, web };
    assert_eq!(scene.tries("ann", &scene.token("ann", json!({}))).await.as_deref(), Some("28P01"));
    scene.web.show(document(&scene.issuer, &[&scene.key]));
    scene.web.set_down(false);
    eventually("the keys are there", async || scene.tries("ann", &scene.token("ann", json!({}))).await.is_none().then_some(())).await;
    // Keys of somebody who goes by another name are not the issuer's.
    scene.web.show(document("https://other.example", &[&Key::new("a")]));
    assert_eq!(scene.tries("ann", &scene.token("ann", json!({}))).await, None);
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_are_read_again_when_it_changes() {
    let world = World::quickstart();
    let (key, web) = (Key::new("a"), Web::serve(Vec::new()));
    world.write("jwks.json", &jwks(&[&key]).to_string());
    let issuer = "https://login.example.com/mesh".to_owned();
    let gateway = world.serve_with(&configured(&issuer, "      keys: jwks.json\n")).await;
    let scene = Scene { world, gateway, issuer, key, web };
    let token = scene.token("ann", json!({}));
    assert_eq!(scene.tries("ann", &token).await, None);
    scene.world.replace("jwks.json", "{\"keys\": []}");
    scene.world.replace("jwks.json", &jwks(&[&Key::new("b")]).to_string());
    eventually("the key is gone", async || (scene.tries("ann", &token).await.as_deref() == Some("28P01")).then_some(())).await;
    scene.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_token() {
    let scene = Scene::new("      leeway_ms: 0\n").await;
    let token = scene.token("ann", json!({"exp": Utc::now().timestamp() + 3}));
    let (client, socket) = connect(&configuration(scene.gateway.address(), "ann", &token)).await.unwrap();
    client.simple_query(FULL_NAME).await.unwrap();
    let lasting = scene.token("bob", json!({}));
    let (other, _) = connect(&configuration(scene.gateway.address(), "bob", &lasting)).await.unwrap();
    tokio::time::timeout(crate::eventually::PATIENCE, socket).await.expect("the session goes on").unwrap();
    assert!(client.simple_query("SELECT 1").await.is_err());
    other.simple_query(FULL_NAME).await.unwrap();
    assert_eq!(scene.tries("ann", &token).await.as_deref(), Some("28P01"));
    scene.gateway.stop().await;
}
