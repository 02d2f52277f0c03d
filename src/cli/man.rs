//! `txgen man`: the man pages, one for each command, from the same definition as the flags and their help.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, CliError};
use crate::observers::notice;
use crate::settings::Key;

/// The section of user commands.
const SECTION: &str = "1";

/// What `txgen man` takes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    txgen man -o ~/.local/share/man/man1    and then: man txgen, man txgen-run\n  \
    txgen man -o . && man ./txgen-run.1     one look")]
pub(super) struct ManArgs {
    /// Write them to this directory, created if needed
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Writes the pages.
pub(super) fn execute(args: &ManArgs) -> Result<ExitCode, CliError> {
    let directory = args.output.display();
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let root = with_all_help(root);
    let pages = std::fs::create_dir_all(&args.output)
        .and_then(|()| write_pages(&root, &args.output))
        .with_context(|| format!("--output: cannot write to `{directory}`"))
        .map_err(CliError::usage)?;
    notice(&format!("{pages} man pages written to {directory}"));
    Ok(ExitCode::SUCCESS)
}

/// A page leaves out the help of flags that are hidden from the short one.
fn with_all_help(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(with_all_help)
}

/// Writes the pages of a command and of all below it; how many that were.
fn write_pages(command: &Command, directory: &Path) -> io::Result<usize> {
    let mut pages = 1;
    for below in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        pages += write_pages(below, directory)?;
    }
    let path = directory.join(format!("{}.{SECTION}", name(command)));
    std::fs::write(path, page(command)?)?;
    Ok(pages)
}

/// `txgen-data-check`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone()).source(format!("txgen {version}")).manual("txgen");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    man.render_options_section(&mut page)?;
    let mut more = Roff::new();
    // Roff would fill the columns of examples into a paragraph: clap's own rendering of this text does.
    if let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        verbatim(&mut more, &text.to_string());
    }
    environment(&mut more);
    if name(command) != "txgen" {
        more.control("SH", ["SEE ALSO"]).text([bold("txgen"), roman(format!("({SECTION})"))]);
    }
    more.to_writer(&mut page)?;
    page.flush()?;
    Ok(page)
}

/// Paragraphs that begin with `Heading:`, as sections whose lines stay as they are.
fn verbatim(page: &mut Roff, text: &str) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let (heading, lines) = match paragraph.split_once('\n') {
            Some((first, rest)) if first.trim_end().ends_with(':') => (first.trim_end().trim_end_matches(':'), rest),
            _ => ("Notes", paragraph),
        };
        page.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
        for line in lines.lines() {
            page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        page.control("fi", []);
    }
}

fn environment(page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT"]);
    let keys: Vec<&str> = Key::ALL.iter().map(|key| key.name()).collect();
    for (variable, meaning) in [
        (
            keys.join(", "),
            "Settings. Each wins over the key of the same name in appsettings.json; a flag wins over both.",
        ),
        ("RUST_LOG".to_owned(), "What is logged to standard error, such as txgen=debug; -v wins over it."),
        ("NO_COLOR".to_owned(), "Where it is set and not empty, nothing is coloured."),
    ] {
        page.control("TP", []).text([bold(variable)]).text([roman(meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines() {
        let mut page = Roff::new();
        verbatim(&mut page, "Examples:\n  txgen run    the job\n  .x\n\nExit codes:\n  0  fine\n\nThe end.");
        assert_eq!(
            page.to_roff(),
            ".SH EXAMPLES\n.nf\ntxgen run    the job\n\\&.x\n.fi\n.SH \"EXIT CODES\"\n.nf\n0  fine\n.fi\n.SH NOTES\n.nf\nThe end.\n.fi\n"
        );
    }
}
