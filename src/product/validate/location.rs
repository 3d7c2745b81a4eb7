//! Where a port's data lies: the text is checked for its form and for credentials, never opened.
//!
//! INVARIANT: a message names the key and never repeats the location, which may hold a password by mistake.

use crate::product::{CredentialsRef, PortFormat};

/// What is wrong with a location, and how to mend it.
pub(super) type LocationFault = (&'static str, &'static str);

const CREDENTIALS_HINT: &str = "Take it out of the file, change it, and write credentials: {ref: \"env:NAME\"} or {ref: \"file:PATH\"}.";
const CREDENTIALS: LocationFault = ("\"location\" holds a user name, password or key", CREDENTIALS_HINT);

/// Words that name a secret in a query string or a connection string.
const SECRET_KEYS: [&str; 12] =
    ["password", "passwd", "pwd", "passphrase", "secret", "token", "signature", "sig", "credential", "accesskey", "apikey", "sharedkey"];

/// The location, if it has the form that the format needs and no credentials.
pub(super) fn check(location: &str, format: &PortFormat) -> Result<(), LocationFault> {
    if location.trim().is_empty() || location.chars().any(char::is_control) {
        return Err(("\"location\" is empty or has a control character", "Say where the data lies."));
    }
    if holds_secret(location) {
        return Err(CREDENTIALS);
    }
    let (scheme, rest) = match location.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (String::new(), location),
    };
    let postgres = matches!(scheme.as_str(), "postgres" | "postgresql");
    match format {
        PortFormat::Postgres if postgres => check_postgres(rest),
        PortFormat::Postgres => {
            Err(("\"location\" is no table of a PostgreSQL server", "Write postgres://host:port/database/schema/table."))
        }
        PortFormat::Csv(_) | PortFormat::Ndjson(_) | PortFormat::Arrow | PortFormat::Avro | PortFormat::Parquet => match scheme.as_str() {
            "" | "file" => check_path(rest),
            "s3" | "gs" | "az" => check_bucket(rest),
            "http" | "https" => check_web(rest),
            _ => Err((
                "\"location\" names no place of files",
                "Write a path below the data folder, file:///path, s3://bucket/prefix/, gs://…, az://… or https://host/file.",
            )),
        },
        PortFormat::Stream(_) | PortFormat::Own(_) => Ok(()),
    }
}

/// A reference to credentials.
pub(super) fn parse_credentials(reference: &str) -> Result<CredentialsRef, LocationFault> {
    const FAULT: LocationFault =
        ("\"ref\" is no reference to credentials", "Write env:NAME or file:PATH; credentials themselves never stand in a contract.");
    match reference.split_once(':') {
        Some(("env", name)) if is_variable(name) => Ok(CredentialsRef::Env(name.to_owned())),
        Some(("file", path)) if !path.trim().is_empty() && !path.starts_with("//") && check_path(path).is_ok() => {
            Ok(CredentialsRef::File(path.to_owned()))
        }
        _ => Err(FAULT),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn holds_secret(location: &str) -> bool {
    let named = location.split(['?', '&', ';', ' ', '#']).any(|part| {
        let Some((key, _)) = part.split_once('=') else { return false };
        // A Hive partition such as `token=1` stands behind a slash.
        if key.contains('/') {
            return false;
        }
        let key: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        SECRET_KEYS.iter().any(|secret| key.ends_with(secret))
    });
    let user = location.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    });
    named || user
}

fn check_postgres(rest: &str) -> Result<(), LocationFault> {
    // A password with a slash in it moves the "@" behind what looks like the host.
    if rest.contains('@') {
        return Err(CREDENTIALS);
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let [server, database, schema, table] = parts.as_slice() else {
        return Err(("\"location\" must name database, schema and table", "Write postgres://host:port/database/schema/table."));
    };
    let port_is_right = match server.rsplit_once(':') {
        Some((_, port)) if !server.ends_with(']') => port.parse::<u16>().is_ok_and(|port| port > 0),
        _ => true,
    };
    let named = [server, database, schema, table].iter().all(|part| !part.is_empty()) && !rest.contains(['?', '#']);
    if named && port_is_right {
        Ok(())
    } else {
        Err(("\"location\" is no table of a PostgreSQL server", "Write postgres://host:port/database/schema/table, without options."))
    }
}

fn check_bucket(rest: &str) -> Result<(), LocationFault> {
    let bucket = rest.split('/').next().unwrap_or_default();
    if bucket.is_empty() || rest.contains('?') {
        return Err(("\"location\" names no bucket", "Write s3://bucket/prefix/."));
    }
    if bucket.contains([':', '@']) { Err(CREDENTIALS) } else { check_path(rest) }
}

/// A server over HTTP lists no files, so the location names one.
fn check_web(rest: &str) -> Result<(), LocationFault> {
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    if server.is_empty() || path.is_empty() || path.ends_with('/') || path.contains(['*', '?', '#']) {
        return Err(("\"location\" names no single file of a server", "Write https://host:port/path/file, without wildcards."));
    }
    check_path(path)
}

/// A contract cannot climb out of the folder that it is given.
fn check_path(path: &str) -> Result<(), LocationFault> {
    let climbs = path.split(['/', '\\']).any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == ".."
    });
    if climbs { Err(("the path has a \"..\" in it", "Write the path without \"..\".")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_files_are_accepted() {
        for location in [
            "data/x.csv",
            "file:///data/part-?.csv",
            "/data/*.parquet",
            "s3://bucket/a/b=1/",
            "gs://bucket/a/*.parquet",
            "az://container/a/",
            "https://host:8443/a/b.parquet",
            "data/token=1/x",
            "data/day=2026-01-01/mail@x.parquet",
        ] {
            assert_eq!(check(location, &PortFormat::Parquet), Ok(()), "{location}");
        }
        for location in [
            "",
            "../x.csv",
            "data/%2E%2e/x",
            "http://x/",
            "https://x/*.csv",
            "ftp://x/y",
            "postgres://h/d/s/t",
            "s3:///x",
            "gs:///x",
            "data/\n",
        ] {
            assert!(check(location, &PortFormat::Parquet).is_err(), "{location}");
        }
    }

    #[test]
    fn tables_are_accepted() {
        for location in
            ["postgres://pg:5432/db/public/t", "postgresql://pg/db/public/t", "postgres://[::1]:5432/d/s/t", "postgres://[::1]/d/s/t"]
        {
            assert_eq!(check(location, &PortFormat::Postgres), Ok(()), "{location}");
        }
        for location in ["postgres://pg/db/t", "postgres:///db/s/t", "postgres://pg:x/db/s/t", "data/x", "postgres://pg/d/s/t?sslmode=off"]
        {
            assert!(check(location, &PortFormat::Postgres).is_err(), "{location}");
        }
    }

    #[test]
    fn credentials_in_a_location_are_found_and_never_repeated() {
        let cases = [
            ("postgres://user:hunter2@pg/db/s/t", PortFormat::Postgres),
            ("postgres://user:hun/ter2@pg/db/s/t", PortFormat::Postgres),
            ("postgres://pg/db/s/t?password=hunter2", PortFormat::Postgres),
            ("host=pg password=hunter2", PortFormat::Postgres),
            ("s3://AKIA:hunter2@bucket/x", PortFormat::Parquet),
            ("s3://AKIA:hun/ter2@bucket/x", PortFormat::Parquet),
            ("s3://bucket/x?X-Amz-Signature=hunter2", PortFormat::Parquet),
            ("file:///x?aws_secret_access_key=hunter2", PortFormat::Parquet),
        ];
        for (location, format) in cases {
            assert_eq!(check(location, &format), Err(CREDENTIALS), "{location}");
        }
    }

    #[test]
    fn only_references_are_credentials() {
        assert_eq!(parse_credentials("env:MESH_S3"), Ok(CredentialsRef::Env("MESH_S3".to_owned())));
        assert_eq!(parse_credentials("file:customer_pg"), Ok(CredentialsRef::File("customer_pg".to_owned())));
        for text in ["hunter2", "env:", "env:A B", "file:", "file:../x", "vault:x", "postgres://u:p@h/d", ""] {
            assert!(parse_credentials(text).is_err(), "{text}");
        }
    }
}
