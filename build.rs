//! Tells the binary which commit it was built from, for `txgen --version`.
//!
//! Of a git checkout: the commit, its date, and whether anything that goes into the binary was changed since. Of a
//! crate's tarball: the commit that `cargo package` noted there. Of anything else: nothing, and the version stands alone.
//! The same commit gives the same text on every machine, so that builds stay reproducible.

use std::path::Path;
use std::process::Command;

/// Hexadecimal digits of a commit that are shown: as many on every machine, which git's own abbreviations are not.
const DIGITS: usize = 9;

/// What goes into the binary.
const SOURCES: [&str; 5] = ["src", "crates", "build.rs", "Cargo.toml", "Cargo.lock"];

/// What `cargo package` notes in a tarball.
const VCS_INFO: &str = ".cargo_vcs_info.json";

fn main() {
    // A crate's tarball has no `crates`.
    for source in SOURCES.into_iter().filter(|source| Path::new(source).exists()) {
        println!("cargo::rerun-if-changed={source}");
    }
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let long_version = match of_checkout().or_else(of_tarball) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=TXGEN_LONG_VERSION={long_version}");
}

/// `8d9263f12 2026-11-24`, and `-dirty` behind the commit where the sources differ from it.
fn of_checkout() -> Option<String> {
    // An unpacked tarball may lie in somebody else's checkout.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(".").canonicalize().ok()? {
        return None;
    }
    // Where HEAD went is written there, whatever moved it.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    let head = git(&["show", "--no-patch", "--format=%H %cs", "HEAD"])?;
    let (commit, date) = head.split_once(' ')?;
    let changed = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat())?;
    let mark = if changed.is_empty() { "" } else { "-dirty" };
    Some(format!("{}{mark} {date}", commit.get(..DIGITS)?))
}

/// `8d9263f12`.
fn of_tarball() -> Option<String> {
    let info = std::fs::read_to_string(VCS_INFO).ok()?;
    println!("cargo::rerun-if-changed={VCS_INFO}");
    let (_, rest) = info.split_once("\"sha1\": \"")?;
    let commit = rest.get(..DIGITS)?;
    let mark = if info.contains("\"dirty\": true") { "-dirty" } else { "" };
    commit.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| format!("{commit}{mark}"))
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok())?.map(|text| text.trim().to_owned())
}
