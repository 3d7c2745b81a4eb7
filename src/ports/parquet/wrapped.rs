//! Keys that lie wrapped in the files that they open, as Arrow and parquet-java write them (`PKMT1`), and the master keys that unwrap them.
//!
//! A file's key is wrapped by a master key, or by one between them that a master key wraps. Each wrap is AES-GCM (nonce, text and tag in base64), bound
//! to the name of the master key, or to the id of the one between. That is how their tools wrap where no server does it; how a key server writes what
//! it has wrapped is its own.
//!
//! INVARIANT: a key is the one that was wrapped under that very name, or none.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::parquet::encryption::decrypt::KeyRetriever;
use datafusion::parquet::errors::{ParquetError, Result};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Deserialize;

use super::encrypted::Closed;

/// The one kind of material that there is.
const KIND: &str = "PKMT1";
/// What the tools call a master key that has had one version only.
const VERSION: &str = "NO_VERSION";

/// What a file tells of a key of its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    key_material_type: String,
    /// Absent where the material lies elsewhere, and there is a reference to it.
    #[serde(default)]
    internal_storage: bool,
}

/// The wrapped key.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(rename = "masterKeyID")]
    master_key: String,
    #[serde(rename = "wrappedDEK")]
    wrapped: String,
    double_wrapping: bool,
    #[serde(rename = "keyEncryptionKeyID")]
    between: Option<String>,
    #[serde(rename = "wrappedKEK")]
    wrapped_between: Option<String>,
}

/// What a master key has wrapped, with the version of that key.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versioned {
    master_key_version: String,
    encrypted_key: String,
}

/// Keys that wrap others, by the names that files have for them.
pub(super) struct MasterKeys(BTreeMap<String, LessSafeKey>);

impl MasterKeys {
    /// Of keys of 16 or 32 bytes; `None` if one is of another length.
    pub(super) fn new(keys: BTreeMap<String, Vec<u8>>) -> Option<Self> {
        let keys = keys.into_iter().map(|(name, bytes)| Some((name, cipher(&bytes)?)));
        keys.collect::<Option<_>>().map(Self)
    }

    fn open(&self, told: &[u8]) -> std::result::Result<Vec<u8>, Closed> {
        let kind: Told = serde_json::from_slice(told).map_err(|_| Closed::NotWrapped)?;
        if kind.key_material_type != KIND {
            return Err(Closed::NotWrapped);
        }
        if !kind.internal_storage {
            return Err(Closed::Outside);
        }
        let material: Material = serde_json::from_slice(told).map_err(|_| Closed::NotWrapped)?;
        let master = self.0.get(&material.master_key).ok_or(Closed::Unnamed)?;
        let key = if material.double_wrapping {
            let (Some(id), Some(wrapped)) = (&material.between, &material.wrapped_between) else { return Err(Closed::NotWrapped) };
            let between = cipher(&unwrapped_by_master(master, wrapped, &material.master_key)?).ok_or(Closed::Length)?;
            let id = STANDARD.decode(id).map_err(|_| Closed::NotWrapped)?;
            unwrapped(&between, &material.wrapped, &id)?
        } else {
            unwrapped_by_master(master, &material.wrapped, &material.master_key)?
        };
        // A key that the reader cannot take is told of here, where it is known why.
        cipher(&key).map(|_| key).ok_or(Closed::Length)
    }
}

impl KeyRetriever for MasterKeys {
    fn retrieve_key(&self, key_metadata: &[u8]) -> Result<Vec<u8>> {
        self.open(key_metadata).map_err(|closed| ParquetError::External(Box::new(closed)))
    }
}

fn cipher(key: &[u8]) -> Option<LessSafeKey> {
    let algorithm = [&AES_128_GCM, &AES_256_GCM].into_iter().find(|algorithm| algorithm.key_len() == key.len())?;
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}

/// What a master key has wrapped stands bare, or beside the version of that key.
fn unwrapped_by_master(master: &LessSafeKey, wrapped: &str, name: &str) -> std::result::Result<Vec<u8>, Closed> {
    if !wrapped.starts_with('{') {
        return unwrapped(master, wrapped, name.as_bytes());
    }
    let versioned: Versioned = serde_json::from_str(wrapped).map_err(|_| Closed::NotWrapped)?;
    if versioned.master_key_version != VERSION {
        return Err(Closed::Unnamed);
    }
    unwrapped(master, &versioned.encrypted_key, name.as_bytes())
}

fn unwrapped(by: &LessSafeKey, wrapped: &str, bound_to: &[u8]) -> std::result::Result<Vec<u8>, Closed> {
    let bytes = STANDARD.decode(wrapped).map_err(|_| Closed::NotWrapped)?;
    let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(Closed::NotWrapped)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Closed::NotWrapped)?;
    let mut text = text.to_vec();
    let key = by.open_in_place(nonce, Aad::from(bound_to), &mut text).map_err(|_| Closed::Wrong)?;
    Ok(key.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{field, ports, product, refusal, rows};
    use super::*;
    use crate::product::{CredentialsRef, DataType, FileKeys, PortFormat, Product};

    /// The files of `fixtures` were written by pyarrow 26.0.1 with `fixtures/wrapped.py`.
    const FILES: [(&str, &[u8]); 6] = [
        ("twice", include_bytes!("fixtures/wrapped_twice.parquet")),
        ("once", include_bytes!("fixtures/wrapped_once.parquet")),
        ("uniform", include_bytes!("fixtures/wrapped_uniform.parquet")),
        ("192", include_bytes!("fixtures/wrapped_192.parquet")),
        ("outside", include_bytes!("fixtures/wrapped_outside.parquet")),
        ("counter", include_bytes!("fixtures/wrapped_counter.parquet")),
    ];

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, bytes) in FILES {
                std::fs::write(folder.path().join(format!("{name}.parquet")), bytes).unwrap();
            }
            for (name, byte, length) in [("files.key", "11", 16), ("cards.key", "22", 32), ("other.key", "33", 16)] {
                std::fs::write(folder.path().join(name), byte.repeat(length)).unwrap();
            }
            Self(folder)
        }

        fn product(&self, file: &str, columns: &[&str], keys: &[(&str, &str)]) -> Product {
            let fields = [field("id", DataType::Int64), field("card", DataType::String)];
            let fields = fields.into_iter().filter(|field| columns.contains(&field.name.as_str())).collect();
            let mut product = product(PortFormat::Parquet, &format!("{file}.parquet"), Some(fields));
            let keys = keys.iter().map(|(name, file)| ((*name).to_owned(), CredentialsRef::File((*file).to_owned())));
            product.output_ports[0].encryption = Some(FileKeys::Wrapping(keys.collect()));
            product
        }

        async fn rows(&self, file: &str, columns: &[&str], keys: &[(&str, &str)]) -> Vec<String> {
            rows(&ports(self.0.path(), true), &self.product(file, columns, keys)).await.unwrap()
        }

        async fn refusal(&self, file: &str, columns: &[&str], keys: &[(&str, &str)]) -> (String, String) {
            refusal(&ports(self.0.path(), true), &self.product(file, columns, keys)).await
        }
    }

    const BOTH: &[&str] = &["id", "card"];
    const KEYS: &[(&str, &str)] = &[("mesh-files", "files.key"), ("mesh-cards", "cards.key")];

    #[tokio::test]
    async fn wrapped_keys_are_opened_by_master_keys_that_the_contract_refers_to() {
        let world = World::new();
        let expected: Vec<String> = (0..100).map(|n| format!("{n}|card-{n:03}")).collect();
        for file in ["twice", "once", "uniform"] {
            let mut found = world.rows(file, BOTH, KEYS).await;
            found.sort_by_key(|row| row.split('|').next().unwrap().parse::<u32>().unwrap());
            assert_eq!(found, expected, "{file}");
        }
        // Who lacks the key of a column reads the others; the file alone tells which it is.
        assert_eq!(world.rows("twice", &["id"], &KEYS[..1]).await.len(), 100);
    }

    #[tokio::test]
    async fn what_no_master_key_opens_is_refused_and_told_why() {
        let world = World::new();
        let wrong = &[("mesh-files", "other.key"), ("mesh-cards", "cards.key")];
        let swapped = &[("mesh-files", "files.key"), ("mesh-cards", "files.key")];
        for (file, keys, expected) in [
            ("twice", &KEYS[1..], ("HV00N", "that the contract does not name")),
            ("twice", &KEYS[..1], ("HV00N", "that the contract does not name")),
            ("once", &KEYS[..1], ("HV00N", "that the contract does not name")),
            ("twice", wrong, ("HV00N", "do not open")),
            ("once", wrong, ("HV00N", "do not open")),
            ("uniform", wrong, ("HV00N", "do not open")),
            ("twice", swapped, ("HV00N", "do not open")),
            ("192", KEYS, ("0A000", "neither 16 nor 32 bytes")),
            ("outside", KEYS, ("0A000", "outside of it")),
            ("counter", KEYS, ("0A000", "AES-GCM-CTR")),
            ("once", &[("mesh-files", "absent.key")], ("HV00N", "cannot be read")),
        ] {
            let (code, text) = world.refusal(file, BOTH, keys).await;
            assert!(code == expected.0 && text.contains(expected.1), "{file}: {code} {text}");
        }
        // Keys that the contract holds itself are no master keys, and a file without keys is closed to all.
        let mut direct = world.product("twice", BOTH, &[]);
        let key = CredentialsRef::File("files.key".to_owned());
        direct.output_ports[0].encryption = Some(FileKeys::Direct { footer: key, columns: BTreeMap::new() });
        assert_eq!(refusal(&ports(world.0.path(), true), &direct).await.0, "HV00N");
        direct.output_ports[0].encryption = None;
        assert_eq!(refusal(&ports(world.0.path(), true), &direct).await.0, "0A000");
    }

    #[test]
    fn a_key_is_bound_to_the_name_that_it_was_wrapped_under() {
        let keys = |name: &str| MasterKeys::new([(name.to_owned(), vec![0x11; 16])].into()).unwrap();
        let material = |name: &str, key: &str| {
            format!(
                r#"{{"keyMaterialType":"PKMT1","internalStorage":true,"masterKeyID":"{name}","wrappedDEK":{key},"doubleWrapping":false}}"#
            )
        };
        let sealed = |name: &str| {
            let mut text = vec![7; 16];
            let nonce = Nonce::assume_unique_for_key([5; NONCE_LEN]);
            cipher(&[0x11; 16]).unwrap().seal_in_place_append_tag(nonce, Aad::from(name), &mut text).unwrap();
            format!("\"{}\"", STANDARD.encode([vec![5; NONCE_LEN], text].concat()))
        };
        let open = |name: &str, text: &str| keys(name).open(text.as_bytes());
        assert_eq!(open("a", &material("a", &sealed("a"))), Ok(vec![7; 16]));
        assert_eq!(open("b", &material("b", &sealed("a"))), Err(Closed::Wrong));
        assert_eq!(open("b", &material("a", &sealed("a"))), Err(Closed::Unnamed));
        for text in ["", "{}", "key", &material("a", "\"AAAA\""), &material("a", "\"?\""), &material("a", "7")] {
            assert_eq!(open("a", text), Err(Closed::NotWrapped), "{text}");
        }
        assert_eq!(open("a", &material("a", &sealed("a")).replace("PKMT1", "PKMT2")), Err(Closed::NotWrapped));
        assert_eq!(open("a", &material("a", &sealed("a")).replace("false", "true")), Err(Closed::NotWrapped));
        assert!(MasterKeys::new([("a".to_owned(), vec![0; 24])].into()).is_none());
    }
}
