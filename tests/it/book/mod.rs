//! The documentation, held against the code: what is generated is fresh, links lead somewhere, and commands can be
//! typed as they are shown.

mod commands;
mod examples;
mod fields;
mod links;
mod markdown;

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use txgen::cli::Cli;
use txgen::settings::Key;

/// Set this, and the tests write the generated pages instead of comparing them.
const REFRESH: &str = "TXGEN_REFRESH_DOCS";

#[test]
fn the_reference_of_commands_is_generated_from_their_definition() {
    assert_fresh("docs/reference/commands.md", &commands::page(&definition()));
}

#[test]
fn the_reference_of_the_summary_is_generated_from_its_schema() {
    assert_fresh("docs/reference/summary.md", &fields::summary_page());
}

#[test]
fn the_reference_of_the_other_documents_is_generated_from_their_schemas() {
    assert_fresh("docs/reference/json.md", &fields::documents_page());
}

#[test]
fn the_reference_of_settings_names_every_key() {
    let page = std::fs::read_to_string(root().join("docs/reference/settings.md")).unwrap();
    for key in Key::ALL.into_iter().chain(Key::LISTENERS) {
        assert!(page.contains(&format!("`{}`", key.name())), "{} is missing", key.name());
    }
}

/// The commands and their flags, with everything that clap derives.
fn definition() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_fresh(page: &str, generated: &str) {
    let path = root().join(page);
    if std::env::var_os(REFRESH).is_some() {
        std::fs::write(path, generated).unwrap();
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let stale = written.lines().zip(generated.lines()).find(|(is, should)| is != should);
    assert!(
        written == generated,
        "{page} is stale{}\nrefresh it with: {REFRESH}=1 cargo test --test it book",
        stale.map(|(is, should)| format!("\n  it says    {is}\n  instead of {should}")).unwrap_or_default()
    );
}

/// Every Markdown page of the repository that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        ".github/SECURITY.md",
        "crates/txgen-emulator/README.md",
        "deploy/README.md",
        "fuzz/README.md",
        "npm/txgen/README.md",
        "python/README.md",
    ]
    .map(|page| root().join(page))
    .into();
    collect(&root().join("docs"), &mut pages);
    pages
}

fn collect(directory: &Path, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The page as people name it.
fn name(page: &Path) -> String {
    page.strip_prefix(root()).unwrap().display().to_string()
}
