//! Has the addresses within the executable packed, where the machine that builds can start such a one: they are 8 MB of a file that is mapped
//! at its start, and then idle memory of each gateway.

use std::process::Command;

/// The first glibc that reads packed addresses.
const GLIBC_MIN: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let known = |name: &str| std::env::var(name).unwrap_or_default();
    let same_machine = known("HOST") == known("TARGET");
    if same_machine && known("TARGET").ends_with("-linux-gnu") && glibc().is_some_and(|version| version >= GLIBC_MIN) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the machine's glibc.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
