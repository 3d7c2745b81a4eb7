//! `meshgate audit`: whether a log is the one that was written, and the key that proves it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::audit::{self, HeadKey, Heads, Reader};
use crate::catalog::mesh::Copier;

use super::Outcome;

/// Heads that were kept elsewhere.
#[derive(Debug, Clone)]
pub struct HeadsOf {
    /// The file with a head a line.
    pub file: PathBuf,
    /// The public key that they are signed with.
    pub key: String,
}

/// `meshgate audit verify`: whether the log is whole.
pub fn audit_verify(folder: &Path, kept: Option<&HeadsOf>, out: &mut dyn Write) -> Outcome {
    // Heads first: what is written meanwhile is then in the log, not only in the heads.
    let (heads, mut faults) = match kept {
        Some(kept) => {
            let text = std::fs::read_to_string(&kept.file).context("the heads cannot be read")?;
            let (heads, faults) = audit::read_heads(&text, &kept.key)?;
            (heads, faults.iter().map(ToString::to_string).collect())
        }
        None => (Heads::new(), Vec::new()),
    };
    let verification = audit::verify(folder, &heads)?;
    faults.extend(verification.faults.iter().map(ToString::to_string));
    let other = Copier::check(&Reader::of_folder(folder)).context("the copies of columns cannot be compared")?;
    faults.extend(other.iter().map(|segment| format!("{segment}: its columns say something else; remove the folder \"columns\"")));
    for fault in &faults {
        writeln!(out, "{fault}")?;
    }
    writeln!(out, "{} records in {} segments, head {}", verification.records, verification.segments, verification.head)?;
    if kept.is_some() {
        writeln!(out, "{} of {} signed heads found in the log", verification.heads, heads.len())?;
    }
    if !faults.is_empty() {
        writeln!(out, "{} fault(s)", faults.len())?;
    }
    Ok(faults.is_empty())
}

/// `meshgate audit keygen`: a key that signs heads, in a file that did not exist; prints its public half.
pub fn audit_keygen(file: &Path, out: &mut dyn Write) -> Outcome {
    let (key, private) = HeadKey::generate()?;
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).context("the key cannot be written")?;
    opened.write_all(private.as_bytes())?;
    opened.sync_all()?;
    writeln!(out, "{}", key.public())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditLog, AuditOptions};

    #[tokio::test]
    async fn a_log_that_was_cut_holds_alone_and_not_against_its_heads() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut out = Vec::new();
        assert!(audit_keygen(&path("key.pem"), &mut out).unwrap());
        assert!(audit_keygen(&path("key.pem"), &mut out).is_err(), "a key is never overwritten");
        let public = String::from_utf8(out).unwrap();
        let key = HeadKey::parse(&std::fs::read_to_string(path("key.pem")).unwrap()).unwrap();
        assert_eq!(public.trim(), key.public());

        for _ in 0..2 {
            AuditLog::open(AuditOptions::new(path("audit"))).unwrap().close().await.unwrap();
        }
        let log = AuditLog::open(AuditOptions::new(path("audit"))).unwrap();
        let signed = serde_json::to_string(&key.sign(&log.head(), chrono::Utc::now())).unwrap();
        log.close().await.unwrap();
        std::fs::write(path("heads"), signed + "\n").unwrap();
        let kept = HeadsOf { file: path("heads"), key: key.public() };
        assert!(audit_verify(&path("audit"), Some(&kept), &mut Vec::new()).unwrap());

        let mut segments: Vec<_> = std::fs::read_dir(path("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        segments.sort();
        std::fs::remove_file(segments.last().unwrap()).unwrap();
        assert!(audit_verify(&path("audit"), None, &mut Vec::new()).unwrap());
        let mut out = Vec::new();
        assert!(!audit_verify(&path("audit"), Some(&kept), &mut out).unwrap());
        assert!(String::from_utf8(out).unwrap().contains("tells of record 3"));
    }
}
