//! What a contract refers to and never holds: secrets and certificates, in the environment or in a file.

use std::path::Path;

use crate::product::CredentialsRef;

/// The text that a reference leads to.
pub(super) fn follow(reference: &CredentialsRef, root: Option<&Path>) -> Result<String, &'static str> {
    match reference {
        CredentialsRef::Env(name) => std::env::var(name).map_err(|_| "the environment variable is not set"),
        CredentialsRef::File(path) => {
            let path = Path::new(path);
            let full = match root {
                _ if path.is_absolute() => path.to_owned(),
                Some(root) => root.join(path),
                None => return Err("no folder for credentials is configured"),
            };
            std::fs::read_to_string(full).map_err(|_| "the file cannot be read")
        }
    }
}
