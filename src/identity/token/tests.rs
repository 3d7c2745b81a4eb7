//! Tokens that are good, and each way in which one is not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://login.example.com/mesh";
const NOW_S: i64 = 1_800_000_000;

/// One key of each kind, as the issuer has them.
enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(&'static str, EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

fn rsa() -> Signer {
    let pem: String = include_str!("../../../tests/keys/issuer-for-tests-only.pem").lines().filter(|line| !line.starts_with('-')).collect();
    Signer::Rsa(Box::new(RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap()))
}

fn ec(curve: &'static str) -> Signer {
    let algorithm = if curve == "P-256" { &ECDSA_P256_SHA256_FIXED_SIGNING } else { &ECDSA_P384_SHA384_FIXED_SIGNING };
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    Signer::Ec(curve, EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
}

fn ed() -> Signer {
    Signer::Ed(Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap())
}

impl Signer {
    fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let n = signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public()).n;
                json!({"kty": "RSA", "kid": id, "use": "sig", "n": text(&n), "e": "AQAB"})
            }
            Self::Ec(curve, key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": id, "x": text(x), "y": text(y)})
            }
            Self::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": text(key.public_key().as_ref())}),
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(_, key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: ISSUER.to_owned(),
        audiences: vec!["meshgate".to_owned(), "mesh".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::from_secs(30),
        grace: Duration::from_secs(60),
        claims: ClaimMapping {
            user: ClaimPath::of("preferred_username"),
            roles: vec![ClaimPath(vec!["realm_access".to_owned(), "roles".to_owned()]), ClaimPath::of("scope")],
            groups: vec![ClaimPath::of("https://example.com/groups")],
            is_data_steward: Some(ClaimPath::of("steward")),
            attributes: [("region".to_owned(), ClaimPath(vec!["address".to_owned(), "region".to_owned()]))].into(),
            product: Some(ClaimPath::of("makes")),
        },
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW_S, 0).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "meshgate", "exp": NOW_S + 300, "nbf": NOW_S - 5, "iat": NOW_S - 5, "sub": "f3a1",
        "preferred_username": "ann", "realm_access": {"roles": ["reader", "pii_authorized"]}, "scope": "openid mesh",
        "https://example.com/groups": ["eu"], "steward": true, "address": {"region": "eu"}
    })
}

fn keys(all: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": all }).to_string().as_bytes()).unwrap()
}

fn checked(token: &str, keys: &KeySet, rules: &TokenRules) -> Result<TokenIdentity, TokenError> {
    check(&UnverifiedToken::parse(token)?, keys, rules, now())
}

/// The good claims with some changed; `null` takes one away.
fn with(changes: Value) -> Value {
    let mut all = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

#[test]
fn every_algorithm_verifies_its_own_signatures_and_no_others() {
    let signers = [
        (rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (ec("P-256"), &["ES256"]),
        (ec("P-384"), &["ES384"]),
        (ed(), &["EdDSA"]),
    ];
    let all: Vec<Value> = signers.iter().enumerate().map(|(at, (signer, _))| signer.jwk(&at.to_string())).collect();
    let keys = keys(&all);
    for (at, (signer, algorithms)) in signers.iter().enumerate() {
        for algorithm in *algorithms {
            let token = signer.token(&json!({"alg": algorithm, "kid": at.to_string(), "typ": "JWT"}), &claims());
            assert!(checked(&token, &keys, &rules()).is_ok(), "{algorithm}");
            let allowed = rules().algorithms.into_iter().filter(|allowed| allowed.name() != *algorithm).collect();
            let refused = checked(&token, &keys, &TokenRules { algorithms: allowed, ..rules() });
            assert_eq!(refused, Err(TokenError::Algorithm), "{algorithm}");
            // The same signature under the name of another algorithm is none.
            for other in Algorithm::ALL.iter().filter(|other| other.name() != *algorithm) {
                let header = json!({"alg": other.name(), "kid": at.to_string()});
                let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims().to_string()));
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signer.sign(algorithm, signed.as_bytes())));
                assert!(
                    matches!(checked(&token, &keys, &rules()), Err(TokenError::UnknownKey | TokenError::Signature)),
                    "{algorithm} {other:?}"
                );
            }
        }
    }
}

#[test]
fn a_good_token_says_who_its_bearer_is() {
    let signer = ec("P-256");
    let token = signer.token(&json!({"alg": "ES256", "kid": "a"}), &claims());
    let identity = checked(&token, &keys(&[signer.jwk("a")]), &rules()).unwrap();
    let principal = &identity.principal;
    assert_eq!((principal.name.as_str(), principal.is_data_steward), ("ann", true));
    assert_eq!(principal.roles.iter().map(String::as_str).collect::<Vec<_>>(), ["mesh", "openid", "pii_authorized", "reader"]);
    assert_eq!(principal.groups.iter().map(String::as_str).collect::<Vec<_>>(), ["eu"]);
    assert_eq!(principal.attributes.get("region"), Some(&json!("eu")));
    assert_eq!((identity.issuer.as_str(), identity.session_ends.timestamp()), (ISSUER, NOW_S + 300 + 30 + 60));
}

#[test]
fn claims_that_are_not_there_give_nothing() {
    let signer = ec("P-256");
    let bare = with(json!({"realm_access": null, "scope": null, "https://example.com/groups": null, "steward": null, "address": null}));
    let token = signer.token(&json!({"alg": "ES256", "kid": "a"}), &bare);
    let principal = checked(&token, &keys(&[signer.jwk("a")]), &rules()).unwrap().principal;
    assert!(principal.roles.is_empty() && principal.groups.is_empty() && principal.attributes.is_empty() && !principal.is_data_steward);
}

#[test]
fn each_wrong_claim_refuses_the_token() {
    let signer = ec("P-256");
    let keys = keys(&[signer.jwk("a")]);
    let claim = |claim: &str, fault| TokenError::claim(claim, fault);
    let table = [
        (json!({"iss": "https://login.example.com/other"}), TokenError::Issuer),
        (json!({"iss": null}), TokenError::Issuer),
        (json!({"iss": [ISSUER]}), TokenError::Issuer),
        (json!({"aud": "other"}), TokenError::Audience),
        (json!({"aud": ["other", 3]}), TokenError::Audience),
        (json!({"aud": null}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"exp": NOW_S - 30}), TokenError::Expired),
        (json!({"exp": 0}), TokenError::Expired),
        (json!({"exp": null}), claim("exp", "is missing")),
        (json!({"exp": "never"}), claim("exp", "is no date")),
        (json!({"nbf": NOW_S + 31}), TokenError::NotYet),
        (json!({"iat": NOW_S + 31}), TokenError::NotYet),
        (json!({"nbf": true}), claim("nbf", "is no date")),
        (json!({"cnf": {"jkt": "x"}}), TokenError::Bound),
        (json!({"preferred_username": null}), claim("preferred_username", "is missing")),
        (json!({"preferred_username": 7}), claim("preferred_username", "is no text")),
        (
            json!({"preferred_username": "a\u{0}b"}),
            claim("preferred_username", "is no name of a login (1 to 63 bytes without control characters)"),
        ),
        (json!({"steward": "true"}), claim("steward", "is neither true nor false")),
        (json!({"realm_access": {"roles": ["reader", 7]}}), claim("realm_access/roles", "is neither a text nor a list of texts")),
        (json!({"realm_access": {"roles": {"reader": true}}}), claim("realm_access/roles", "is neither a text nor a list of texts")),
        (json!({"realm_access": ["reader"]}), claim("realm_access/roles", "lies in something that is no object")),
        (json!({"realm_access": {"roles": [" reader"]}}), claim("realm_access/roles", "has a name that is empty or has space around it")),
        (
            json!({"_claim_names": {"realm_access": "src1"}}),
            claim("realm_access/roles", "was left out of the token because it is too long"),
        ),
    ];
    for (changes, expected) in table {
        let token = signer.token(&json!({"alg": "ES256", "kid": "a"}), &with(changes.clone()));
        assert_eq!(checked(&token, &keys, &rules()), Err(expected), "{changes}");
    }
}

#[test]
fn the_leeway_and_a_list_of_audiences_are_allowed_for() {
    let signer = ec("P-256");
    let keys = keys(&[signer.jwk("a")]);
    for changes in [
        json!({"exp": NOW_S - 29}),
        json!({"nbf": NOW_S + 30, "iat": NOW_S + 30}),
        json!({"aud": ["other", "mesh"]}),
        json!({"nbf": null, "iat": null}),
        json!({"exp": 1e300}),
        json!({"realm_access": {"roles": "reader"}}),
        json!({"realm_access": {"roles": null}}),
    ] {
        let token = signer.token(&json!({"alg": "ES256", "kid": "a"}), &with(changes.clone()));
        assert!(checked(&token, &keys, &rules()).is_ok(), "{changes}");
    }
}

#[test]
fn an_address_that_its_owner_has_not_shown_to_be_theirs_is_no_name() {
    let signer = ec("P-256");
    let keys = keys(&[signer.jwk("a")]);
    let rules = TokenRules { claims: ClaimMapping { user: ClaimPath::of("email"), ..rules().claims }, ..rules() };
    for (verified, good) in [(json!(null), true), (json!(true), true), (json!(false), false), (json!("true"), false)] {
        let token =
            signer.token(&json!({"alg": "ES256", "kid": "a"}), &with(json!({"email": "ann@example.com", "email_verified": verified})));
        assert_eq!(checked(&token, &keys, &rules).is_ok(), good, "{verified}");
    }
}

#[test]
fn no_symmetric_or_missing_algorithm_is_ever_taken() {
    let signer = rsa();
    let jwk = signer.jwk("a");
    let keys = keys(&[jwk.clone(), json!({"kty": "oct", "kid": "b", "k": "c2VjcmV0"})]);
    assert_eq!(keys.len(), 1);
    let public = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for name in ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "ES512", "rs256", "RSA1_5"] {
        let header = json!({"alg": name, "kid": "a"});
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims().to_string()));
        let mac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public), signed.as_bytes());
        for signature in
            [String::new(), URL_SAFE_NO_PAD.encode(mac.as_ref()), URL_SAFE_NO_PAD.encode(signer.sign("RS256", signed.as_bytes()))]
        {
            let token = format!("{signed}.{signature}");
            assert_eq!(checked(&token, &keys, &rules()), Err(TokenError::Algorithm), "{name}");
        }
    }
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    let signer = ec("P-256");
    let keys = keys(&[signer.jwk("a")]);
    let token = signer.token(&json!({"alg": "ES256", "kid": "a"}), &claims());
    let parts: Vec<&str> = token.split('.').collect();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let other = part(with(json!({"preferred_username": "steward"})));
    for changed in [
        format!("{}.{other}.{}", parts[0], parts[2]),
        format!("{}.{}.{}", part(json!({"alg": "ES256", "kid": "a", "typ": "JWT"})), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{}.{}.", parts[0], parts[1]),
    ] {
        assert_eq!(checked(&changed, &keys, &rules()), Err(TokenError::Signature), "{changed}");
    }
    let stranger = ec("P-256").token(&json!({"alg": "ES256", "kid": "a"}), &claims());
    assert_eq!(checked(&stranger, &keys, &rules()), Err(TokenError::Signature));
}

#[test]
fn keys_are_found_by_their_name_and_only_for_what_they_are() {
    let (one, two) = (ec("P-256"), ec("P-256"));
    let header = |id: &str| json!({"alg": "ES256", "kid": id});
    let both = keys(&[one.jwk("a"), two.jwk("b")]);
    assert!(checked(&two.token(&header("b"), &claims()), &both, &rules()).is_ok());
    assert_eq!(checked(&two.token(&header("a"), &claims()), &both, &rules()), Err(TokenError::Signature));
    assert_eq!(checked(&two.token(&header("c"), &claims()), &both, &rules()), Err(TokenError::UnknownKey));
    // Without a name there must be no choice.
    let unnamed = json!({"alg": "ES256"});
    assert_eq!(checked(&two.token(&unnamed, &claims()), &both, &rules()), Err(TokenError::UnknownKey));
    assert!(checked(&two.token(&unnamed, &claims()), &keys(&[two.jwk("b"), rsa().jwk("c")]), &rules()).is_ok());
    // A key for something else is no key.
    let rsa = rsa();
    for (name, value) in [("alg", json!("PS256")), ("use", json!("enc")), ("key_ops", json!(["sign"])), ("kty", json!("oct"))] {
        let mut jwk = rsa.jwk("a");
        jwk[name] = value;
        let keys = keys(&[jwk, one.jwk("other")]);
        let token = rsa.token(&json!({"alg": "RS256", "kid": "a"}), &claims());
        assert_eq!(checked(&token, &keys, &rules()), Err(TokenError::UnknownKey), "{name}");
    }
}

#[test]
fn documents_that_are_no_sets_of_keys_are_refused() {
    let many: Vec<Value> = (0..=100).map(|at| json!({"kty": "OKP", "kid": at.to_string()})).collect();
    for (document, fault) in [
        ("", KeySetError::Malformed),
        ("[]", KeySetError::Malformed),
        ("{\"keys\": {}}", KeySetError::Malformed),
        ("{\"keys\": []}", KeySetError::Empty),
        ("{\"keys\": [3, {\"kty\": \"RSA\"}, {\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AA\", \"y\": \"AA\"}]}", KeySetError::Empty),
        (&json!({ "keys": many }).to_string(), KeySetError::TooMany),
    ] {
        assert_eq!(KeySet::parse(document.as_bytes()).unwrap_err(), fault, "{document}");
    }
}

#[test]
fn other_forms_are_malformed() {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (header, payload) = (part(json!({"alg": "ES256"})), part(claims()));
    let long = format!("{header}.{}.AA", "A".repeat(70_000));
    for token in [
        "",
        "secret",
        "a.b",
        "..",
        &format!("{header}.{payload}"),
        &format!("{header}.{payload}.AA.AA"),
        &format!("{header}=.{payload}.AA"),
        &format!("{header}.{payload}.A+A"),
        &format!("{}.{payload}.AA", part(json!({"alg": 3}))),
        &format!("{}.{payload}.AA", part(json!(["alg"]))),
        &format!("{header}.{}.AA", part(json!("ann"))),
        &format!("{}.{payload}.AA", part(json!({"alg": "ES256", "kid": 3}))),
        &format!("{}.{payload}.AA", part(json!({"alg": "ES256", "crit": ["exp"], "exp": 1}))),
        &format!("{}.{payload}.AA", part(json!({"alg": "ES256", "typ": "logout+jwt"}))),
        &long,
    ] {
        assert!(matches!(UnverifiedToken::parse(token), Err(TokenError::Malformed(_))), "{token}");
    }
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        assert!(UnverifiedToken::parse(&format!("{}.{payload}.AA", part(json!({"alg": "ES256", "typ": kind})))).is_ok(), "{kind}");
    }
}

#[test]
fn nothing_shows_a_token() {
    let token = ec("P-256").token(&json!({"alg": "ES256", "kid": "a"}), &claims());
    let parsed = UnverifiedToken::parse(&token).unwrap();
    assert_eq!(format!("{parsed:?}"), "UnverifiedToken { .. }");
    assert_eq!(parsed.claimed_issuer(), Some(ISSUER));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[A-Za-z0-9_.{}\":=-]{0,80}", bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
        let _ = UnverifiedToken::parse(&text);
        let _ = KeySet::parse(&bytes);
        let part = URL_SAFE_NO_PAD.encode(&bytes);
        let _ = UnverifiedToken::parse(&format!("{part}.{part}.{part}"));
    }
}
